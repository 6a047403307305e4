"""Study measures: several encoders compared on the same held-out images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from twofold.components.data.reading.label_subset import keep_labels
from twofold.components.evaluation.metric_catalogue import CATALOGUE
from twofold.components.evaluation.metrics import is_within_unit
from twofold.components.evaluation.probes.decodability import Decoded, decode_latents
from twofold.components.evaluation.probes.label_fractions import (
    MeanInterval,
    mean_interval,
    t_interval,
)
from twofold.components.evaluation.probes.linear_probe import LinearProbe
from twofold.components.methods.build import build_classifier
from twofold.components.training.resuming.weights_files import read_final
from twofold.components.training.validation import build_validation
from twofold.pipeline.config import EvaluationConfig, RunConfig, StudyConfig
from twofold.pipeline.models.build import rebuild_encoder
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.checks.data_checks import held_out_split
from twofold.pipeline.steps.measures.embedded_images import open_store
from twofold.pipeline.steps.measures.recipe_probe import train_recipe_probe
from twofold.pipeline.studies.study_figures import Embedded, Numbers, Summary, draw_study
from twofold.pipeline.studies.study_members import (
    Member,
    epochs_on_fewer,
    fewer_labels,
    label_name,
    study_of,
)
from twofold.pipeline.training import prepared_images as step_images


class Accuracy(NamedTuple):
    """Accuracies in [0, 1] of one classifier, on images that it was not and was trained on."""

    held_out: float
    training: float


# By share of the labels, 1 for all.
Curve = dict[float, Accuracy]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one encoder and seed has.

    Attributes:
        own: with all labels that its settings keep.
        curve: with shares of them, and the epochs of the curves.
        anew: whether the curve's point with all labels is another training than its own.
        losses: of its probe in training, one an epoch; empty for a network's own classifier.

    """

    own: Accuracy
    curve: Curve
    anew: bool
    losses: tuple[float, ...] = ()


def measure_study(
    context: Context, members: Sequence[Member], details: dict[str, Any]
) -> dict[str, float]:
    """Measures finished members, and draws their figures.

    Args:
        context: of the study.
        members: their runs are evaluated; those for the curves are trained.
        details: takes what every seed gave.

    Returns:
        Metrics by name, ``study/<encoder>/<measure>``, means over the seeds, with the bounds of
        Student's 95 % interval where there are several.

    """
    study, measured = study_of(context.config), dict[str, dict[int, Measured]]()
    classes = label_name(context.config)
    whole = [member for member in members if member.fraction is None]
    first: dict[str, Embedded] = {}
    with context.progress("measure", len(whole) + len(study.seeds), "encoders") as show:
        done = 0
        for member in whole:
            embedded = _embedded(member.context)
            own = [one for one in members if _is_of(one, member)]
            measured.setdefault(member.encoder, {})[member.seed] = _measure(study, own, embedded)
            if member.seed == study.seeds[0]:
                first[member.encoder] = embedded
            done += 1
            show(done)
        if study.pixels is not None:
            pixels = _pixels(next(iter(first.values())))
            first = {study.pixels: pixels, **first}
            for seed in study.seeds:
                config = context.config.model_copy(update={"seed": seed})
                measured.setdefault(study.pixels, {})[seed] = _probes(
                    config, study, pixels, study.pixel_epochs
                )
                done += 1
                show(done)
    measured = {encoder: measured[encoder] for encoder in first}
    details["seeds"] = _by_seed(measured, lambda one: {1.0: one.own.held_out} | _held_out(one))
    details["curves"] = _by_seed(measured, lambda one: {f: [*a] for f, a in one.curve.items()})
    details["encoders"] = list(first)
    details["figures_of_seed"] = study.seeds[0]
    decoded = _decode(first, context.config.seed)
    numbers = Numbers(
        own=_summarise(measured, lambda one: {1.0: one.own.held_out}),
        held_out=_summarise(measured, _held_out),
        training=_summarise(measured, lambda one: {f: a.training for f, a in one.curve.items()}),
        losses={
            encoder: by[study.seeds[0]].losses
            for encoder, by in measured.items()
            if by[study.seeds[0]].losses
        },
        decoded=decoded,
    )
    draw_study(context, first, numbers)
    result: dict[str, float] = {}
    own_training = _summarise(measured, lambda one: {1.0: one.own.training})
    for encoder, by in measured.items():
        name = f"study/{encoder}/{classes}"
        result |= _named(f"{name}_accuracy", numbers.own[encoder][1.0])
        result |= _named(f"{name}_training_accuracy", own_training[encoder][1.0])
        for fraction in numbers.held_out[encoder]:
            # The whole set is a point of its own only where it was trained on for longer or less.
            if fraction < 1 or any(one.anew for one in by.values()):
                of = f"@{fraction:g}"
                result |= _named(f"{name}_accuracy{of}", numbers.held_out[encoder][fraction])
                result |= _named(
                    f"{name}_training_accuracy{of}", numbers.training[encoder][fraction]
                )
        result |= _repeated(encoder, [one for one in whole if one.encoder == encoder])
        for latent, one in decoded.get(encoder, {}).items():
            result[f"study/{encoder}/decodability/{latent}"] = one.score
    return result


def _held_out(one: Measured) -> dict[float, float]:
    return {fraction: accuracy.held_out for fraction, accuracy in one.curve.items()}


def _by_seed(
    measured: Mapping[str, Mapping[int, Measured]],
    values: Callable[[Measured], Mapping[float, Any]],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Gives values by encoder, seed and share of the labels, as they are recorded."""
    return {
        encoder: {
            str(seed): {f"{share:g}": value for share, value in values(one).items()}
            for seed, one in by.items()
        }
        for encoder, by in measured.items()
    }


def _summarise(
    measured: Mapping[str, Mapping[int, Measured]],
    values: Callable[[Measured], Mapping[float, float]],
) -> dict[str, Summary]:
    """Gives the means over the seeds, by encoder and share of the labels."""
    found = {encoder: [values(one) for one in by.values()] for encoder, by in measured.items()}
    return {
        encoder: {share: _mean([one[share] for one in seeds]) for share in seeds[0]}
        for encoder, seeds in found.items()
    }


def _repeated(encoder: str, members: Sequence[Member]) -> dict[str, float]:
    """Gives the means over the seeds of what an encoder's runs measured themselves."""
    metrics = [member.context.run.metrics() for member in members]
    result: dict[str, float] = {}
    for repeated in CATALOGUE:
        name = repeated.pattern
        if repeated.study_name and metrics and all(name in one for one in metrics):
            values = [one[name] for one in metrics]
            among = _mean(values, t_interval if is_within_unit(name) else mean_interval)
            result |= _named(f"study/{encoder}/{repeated.study_name}", among)
    return result


def _is_of(one: Member, member: Member) -> bool:
    return (one.encoder, one.seed) == (member.encoder, member.seed)


def _embedded(context: Context) -> Embedded:
    manifest, store = context.manifest(), open_store(context)
    name = held_out_split(manifest)
    return Embedded(
        store.read("train"),
        store.read(name),
        step_images.load_training_images(context, manifest).together,
        step_images.load(context, manifest, name),
    )


def _pixels(embedded: Embedded) -> Embedded:
    """The images as they are, every pixel a feature."""
    training, held_out = (
        (np.asarray(split.images[:], np.float32) / 255).reshape(len(split.images), -1)
        for split in (embedded.train, embedded.test)
    )
    return dataclasses.replace(embedded, training=training, held_out=held_out)


def _measure(study: StudyConfig, own: Sequence[Member], embedded: Embedded) -> Measured:
    """Measures an encoder by its own classifier, where it has one, or by the recipe's probe.

    Args:
        study: of the encoder.
        own: the encoder, and the same trained for the curves.
        embedded: the images as it sees them.

    """
    (whole,) = (member for member in own if member.fraction is None)
    config = whole.context.config
    if "classifier/test_accuracy" not in whole.context.run.metrics():
        return _probes(config, study, embedded, config.evaluation.probe_epochs)
    found = _own_accuracy(whole.context)
    curve = {1.0: found}
    curve |= {m.fraction: _own_accuracy(m.context) for m in own if m.fraction is not None}
    anew = any(member.fraction == 1 for member in own)
    return Measured(found, dict(sorted(curve.items())), anew)


def _own_accuracy(context: Context) -> Accuracy:
    """Gives the accuracies of a network's own classifier."""
    images = step_images.load_training_images(context, context.manifest()).labelled
    checkpoints = context.run.path / "checkpoints"
    encoder = rebuild_encoder(checkpoints)
    head = build_classifier(
        context.config.encoder, encoder, len(images.class_names), context.config.seed
    )
    read_final(checkpoints, {"head": head})
    seen = build_validation(encoder, head, images.images, images.labels, "seen")()
    held_out = context.run.metrics()["classifier/test_accuracy"]
    return Accuracy(held_out, seen["seen/accuracy"])


def _probes(config: RunConfig, study: StudyConfig, embedded: Embedded, epochs: int) -> Measured:
    """Measures by the recipe's probe, with all labels and on the curves."""
    known = embedded.test.labels >= 0

    def measure(fraction: float, epochs: int) -> tuple[Accuracy, tuple[float, ...]]:
        kept = keep_labels(embedded.train, fraction, config.seed).labels
        rows = np.flatnonzero(kept >= 0)
        probe = _fit(config.evaluation, embedded, rows, epochs, config.seed)
        held_out = probe.accuracy(embedded.held_out[known], embedded.test.labels[known])
        seen = probe.accuracy(embedded.training[rows], embedded.train.labels[rows])
        return Accuracy(held_out, seen), probe.losses

    own, losses = measure(1.0, epochs)
    of_curve = study.fraction_probe_epochs or epochs
    anew = of_curve != epochs and 1.0 in study.label_fractions
    shares = [*fewer_labels(study), *([1.0] if anew else [])]
    curve = {share: measure(share, epochs_on_fewer(of_curve, share))[0] for share in shares}
    return Measured(own, {**curve, 1.0: curve.get(1.0, own)}, anew, losses)


def _fit(
    evaluation: EvaluationConfig, embedded: Embedded, rows: np.ndarray, epochs: int, seed: int
) -> LinearProbe:
    return train_recipe_probe(
        evaluation,
        embedded.training[rows],
        embedded.train.labels[rows],
        classes=len(embedded.train.class_names),
        epochs=epochs,
        seed=seed,
    )


def _decode(first: dict[str, Embedded], seed: int) -> dict[str, dict[str, Decoded]]:
    found = {}
    for encoder, one in first.items():
        if one.test.latent_names:
            found[encoder] = decode_latents(
                one.training,
                one.train.latents,
                one.held_out,
                one.test.latents,
                one.test.latent_names,
                seed=seed,
            )
    return found


def _mean(
    values: list[float], interval: Callable[[list[float]], MeanInterval] = t_interval
) -> float | MeanInterval:
    return values[0] if len(values) == 1 else interval(values)


def _named(name: str, value: float | MeanInterval) -> dict[str, float]:
    if isinstance(value, float):
        return {name: value}
    return {name: value.mean, f"{name}_low": value.low, f"{name}_high": value.high}
