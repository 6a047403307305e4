"""Study measures: several encoders compared on the same held-out images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twofold.components.data.reading.label_subset import keep_labels
from twofold.components.data.reading.split import Split
from twofold.components.evaluation.geometry.similarity_matrix import sample_rows, similarity_matrix
from twofold.components.evaluation.metric_catalogue import CATALOGUE
from twofold.components.evaluation.metrics import is_within_unit
from twofold.components.evaluation.plots.study_plots import (
    plot_accuracies,
    plot_decodability,
    plot_fraction_curves,
    plot_rsm_histograms,
    plot_rsms,
)
from twofold.components.evaluation.probes.decodability import Decoded, decode_latents
from twofold.components.evaluation.probes.label_fractions import (
    MeanInterval,
    mean_interval,
    t_interval,
)
from twofold.components.evaluation.probes.linear_probe import fit_recipe_probe
from twofold.pipeline.config import EvaluationConfig, RunConfig
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.checks import held_out_split
from twofold.pipeline.steps.measures.embedded_images import open_store
from twofold.pipeline.studies.study_members import (
    Member,
    epochs_on_fewer,
    fewer_labels,
    label_name,
    study_of,
)
from twofold.pipeline.training import prepared_images as step_images

# Accuracy by share of the labels, 1 for all.
Curve = dict[float, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Embedded:
    """The images of a study as one encoder sees them.

    Attributes:
        training: float32 [N, D].
        held_out: float32 [M, D].
        train: its images.
        test: its images.

    """

    training: np.ndarray
    held_out: np.ndarray
    train: Split
    test: Split


def measure_study(
    context: Context, members: Sequence[Member], details: dict[str, Any]
) -> dict[str, float]:
    """Measures finished members, and draws their figures.

    Args:
        context: of the study.
        members: their runs are evaluated; those on fewer labels are trained.
        details: takes what every seed gave.

    Returns:
        Metrics by name, ``study/<encoder>/<measure>``, means over the seeds, with the bounds of
        Student's 95 % interval where there are several.

    """
    study, curves = study_of(context.config), dict[str, dict[int, Curve]]()
    classes = label_name(context.config)
    whole = [member for member in members if member.fraction == 1]
    first: dict[str, Embedded] = {}
    with context.progress("measure", len(whole) + len(study.seeds), "encoders") as show:
        done = 0
        for member in whole:
            embedded = _embedded(member.context)
            own = {one.fraction: one for one in members if _is_of(one, member)}
            curves.setdefault(member.encoder, {})[member.seed] = _curve(
                member.context.config, own, embedded, fewer_labels(study)
            )
            if member.seed == study.seeds[0]:
                first[member.encoder] = embedded
            done += 1
            show(done)
        if study.pixels is not None:
            pixels = _pixels(next(iter(first.values())))
            first = {study.pixels: pixels, **first}
            for seed in study.seeds:
                config = context.config.model_copy(update={"seed": seed})
                curves.setdefault(study.pixels, {})[seed] = _probes(
                    config, pixels, fewer_labels(study), study.pixel_epochs
                )
                done += 1
                show(done)
    details["seeds"] = {
        encoder: {str(seed): {f"{f:g}": a for f, a in curve.items()} for seed, curve in by.items()}
        for encoder, by in curves.items()
    }
    details["encoders"] = list(first)
    details["figures_of_seed"] = study.seeds[0]
    decoded = _decode(first, context.config.seed)
    summary = {
        encoder: {f: _mean([curve[f] for curve in by.values()]) for f in next(iter(by.values()))}
        for encoder, by in sorted(curves.items(), key=lambda one: [*first].index(one[0]))
    }
    _draw(context, first, summary, decoded)
    result: dict[str, float] = {}
    for encoder, shares in summary.items():
        for fraction, value in shares.items():
            name = f"study/{encoder}/{classes}_accuracy"
            result |= _named(name if fraction == 1 else f"{name}@{fraction:g}", value)
        result |= _repeated(encoder, [one for one in whole if one.encoder == encoder])
        for latent, one in decoded.get(encoder, {}).items():
            result[f"study/{encoder}/decodability/{latent}"] = one.score
    return result


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


def _curve(
    config: RunConfig, own: dict[float, Member], embedded: Embedded, fractions: list[float]
) -> Curve:
    """Accuracy by share of the labels: of the network's own classifier, or the recipe's probe."""
    accuracies = {
        fraction: member.context.run.metrics().get("classifier/test_accuracy")
        for fraction, member in own.items()
    }
    if all(value is not None for value in accuracies.values()):
        return {fraction: float(value or 0.0) for fraction, value in sorted(accuracies.items())}
    return _probes(config, embedded, fractions, config.evaluation.probe_epochs)


def _probes(config: RunConfig, embedded: Embedded, fractions: list[float], epochs: int) -> Curve:
    curve = {}
    for fraction in (*fractions, 1.0):
        kept = keep_labels(embedded.train, fraction, config.seed).labels
        rows = np.flatnonzero(kept >= 0)
        probe = _fit(
            config.evaluation, embedded, rows, epochs_on_fewer(epochs, fraction), config.seed
        )
        known = embedded.test.labels >= 0
        curve[fraction] = probe.accuracy(embedded.held_out[known], embedded.test.labels[known])
    return curve


def _fit(
    evaluation: EvaluationConfig, embedded: Embedded, rows: np.ndarray, epochs: int, seed: int
) -> Any:
    return fit_recipe_probe(
        embedded.training[rows],
        embedded.train.labels[rows],
        classes=len(embedded.train.class_names),
        epochs=epochs,
        batch_size=evaluation.probe_batch_size,
        learning_rate=evaluation.probe_learning_rate,
        schedule_epochs=evaluation.probe_schedule_epochs,
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


def _draw(
    context: Context,
    first: dict[str, Embedded],
    summary: dict[str, dict[float, float | MeanInterval]],
    decoded: dict[str, dict[str, Decoded]],
) -> None:
    study, figures = study_of(context.config), context.run.path / "figures"
    classes = label_name(context.config)
    test = next(iter(first.values())).test
    names = test.class_names
    chance = float(np.bincount(test.labels[test.labels >= 0]).max() / (test.labels >= 0).sum())
    plot_accuracies(
        {encoder: {"measured": shares[1.0]} for encoder, shares in summary.items()},
        figures / "accuracies.png",
        f"Held-out accuracy of {classes}",
        study.reference,
        chance,
    )
    if fewer_labels(study):
        plot_fraction_curves(
            summary, figures / "fractions.png", f"Accuracy of {classes} on fewer labels", chance
        )
    if any(decoded.values()):
        plot_decodability(decoded, figures / "decodability.png")
    rows = sample_rows(len(test.labels), study.rsm_images, context.config.seed)
    order = np.arange(len(rows))
    matrices = {
        encoder: similarity_matrix(one.held_out[rows], order) for encoder, one in first.items()
    }
    plot_rsm_histograms(
        matrices,
        figures / "rsm_histogram.png",
        f"Similarities of {len(rows)} held-out images",
        test.labels[rows],
        classes,
    )
    plot_rsms(
        matrices,
        test.labels[rows],
        classes,
        f"Similarities of {len(rows)} held-out images, sorted by {classes}",
        figures / "rsm_class.png",
        names,
    )
    for column, latent in enumerate(test.latent_names):
        if latent == classes or (study.rsm_latents and latent not in study.rsm_latents):
            continue
        plot_rsms(
            matrices,
            test.latents[rows, column],
            latent,
            f"Similarities of {len(rows)} held-out images, sorted by {latent}",
            figures / f"rsm_{latent}.png",
        )
