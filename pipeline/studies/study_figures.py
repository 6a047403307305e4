"""Study figures: accuracies, curves, similarities and pictures of several encoders side by side."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twofold.components.data.reading.split import Split
from twofold.components.evaluation.geometry.similarity_matrix import sample_rows, similarity_matrix
from twofold.components.evaluation.plots.accuracy_plots import (
    plot_accuracies,
    plot_decodability,
    plot_fraction_curves,
)
from twofold.components.evaluation.plots.classifier_plots import plot_probe_losses
from twofold.components.evaluation.plots.similarity_plots import (
    plot_rsm_histograms,
    plot_rsms,
    plot_similarity_overlay,
)
from twofold.components.evaluation.plots.sprite_plots import plot_latent_values, plot_positions
from twofold.components.evaluation.probes.decodability import Decoded
from twofold.components.evaluation.probes.label_fractions import MeanInterval
from twofold.pipeline.config import RunConfig
from twofold.pipeline.config.study import encoders_of
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.studies.study_members import (
    fewer_labels,
    label_name,
    member_config,
    study_of,
)

_POSITIONS = ("posX", "posY")
_EXAMPLES = 10
# Of latents whose values have one.
_UNITS = {"orientation": ", radians"}

Summary = dict[float, float | MeanInterval]


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


@dataclasses.dataclass(frozen=True)
class Numbers:
    """What a study's figures show, by encoder.

    Attributes:
        own: held-out accuracy, by share of the labels: 1.
        held_out: likewise by share of the labels, on the curves.
        training: likewise of the images that were trained on.
        losses: of a probe in training, one an epoch, of the first seed.
        decoded: of the first seed, by latent.

    """

    own: Mapping[str, Summary]
    held_out: Mapping[str, Summary]
    training: Mapping[str, Summary]
    losses: Mapping[str, tuple[float, ...]]
    decoded: Mapping[str, Mapping[str, Decoded]]


def draw_study(context: Context, first: Mapping[str, Embedded], numbers: Numbers) -> None:
    """Draws a study's figures into its directory.

    Args:
        context: of the study.
        first: the images by encoder, of the first seed.
        numbers: what was measured.

    """
    figures, test = context.run.path / "figures", next(iter(first.values())).test
    _draw_accuracies(context.config, numbers, test, figures)
    if any(numbers.decoded.values()):
        plot_decodability(numbers.decoded, figures / "decodability.png")
    if numbers.losses:
        title = "Training loss of the classifiers on frozen features"
        plot_probe_losses(numbers.losses, figures / "probe_losses.png", title)
    _draw_similarities(context.config, first, figures)
    _draw_images(context.config, first, figures)


def _draw_accuracies(config: RunConfig, numbers: Numbers, test: Split, figures: Path) -> None:
    study, classes = study_of(config), label_name(config)
    chance = float(np.bincount(test.labels[test.labels >= 0]).max() / (test.labels >= 0).sum())
    plot_accuracies(
        {encoder: {"measured": shares[1.0]} for encoder, shares in numbers.own.items()},
        figures / "accuracies.png",
        f"Held-out accuracy of {classes}",
        study.reference,
        chance,
    )
    if not fewer_labels(study):
        return
    groups: dict[str, tuple[str, ...]] = study.curve_groups or {"": tuple(numbers.held_out)}
    for group, encoders in groups.items():
        plot_fraction_curves(
            {encoder: numbers.held_out[encoder] for encoder in encoders},
            figures / ("_".join(filter(None, ("fractions", group))) + ".png"),
            f"Accuracy of {classes} on fewer labels" + (group and f": {group.replace('_', ' ')}"),
            chance,
            {encoder: numbers.training[encoder] for encoder in encoders},
        )


def _draw_similarities(config: RunConfig, first: Mapping[str, Embedded], figures: Path) -> None:
    study, classes = study_of(config), label_name(config)
    test = next(iter(first.values())).test
    rows = sample_rows(len(test.labels), study.rsm_images, config.seed)
    order = np.arange(len(rows))
    matrices = {
        encoder: similarity_matrix(one.held_out[rows], order) for encoder, one in first.items()
    }
    similarities = f"Similarities of {len(rows)} held-out images"
    path = figures / "rsm_histogram.png"
    plot_rsm_histograms(matrices, path, similarities, test.labels[rows], classes)
    if study.overlaid:
        overlaid = {encoder: matrices[encoder] for encoder in study.overlaid}
        plot_similarity_overlay(overlaid, figures / "rsm_overlay.png", similarities)
    plot_rsms(
        matrices,
        test.labels[rows],
        classes,
        f"{similarities}, sorted by {classes}",
        figures / "rsm_class.png",
        test.class_names,
    )
    for column, latent in enumerate(test.latent_names):
        if latent == classes or (study.rsm_latents and latent not in study.rsm_latents):
            continue
        title = f"{similarities}, sorted by {latent}"
        path = figures / f"rsm_{latent}.png"
        axes = latent + _UNITS.get(latent, "")
        plot_rsms(matrices, test.latents[rows, column], axes, title, path)


def _draw_images(config: RunConfig, first: Mapping[str, Embedded], figures: Path) -> None:
    """Draws some images with their latents, and where the sprites lie that encoders train on."""
    study = study_of(config)
    test = next(iter(first.values())).test
    if not test.latent_names:
        return
    rows = sample_rows(len(test.labels), _EXAMPLES, config.seed)
    images, latents = np.asarray(test.images[rows]), test.latents[rows]
    path = figures / "images_latents.png"
    plot_latent_values(images, latents, test.latent_names, path, "Held-out images, their latents")
    if not _have_positions(test):
        return
    title = "Held-out images, with their centres and the box of all centres"
    plot_positions(images, _centres(test, rows), figures / "images_positions.png", title)
    boundaries = _boundaries(config)
    for name, encoder in study.pictured.items():
        split = first[encoder].train
        rows = np.arange(min(study.pictured_images, len(split.labels)))
        plot_positions(
            np.asarray(split.images[rows]),
            _centres(split, rows),
            figures / f"images_{name}.png",
            f"Training images, {name.replace('_', ' ')}: centres"
            + (", and bounds of posX" if boundaries else ""),
            boundaries,
        )


def _have_positions(split: Split) -> bool:
    if not set(_POSITIONS) <= set(split.latent_names):
        return False
    centres = _centres(split, np.arange(len(split.labels)))
    return bool(centres.min() >= 0 and centres.max() <= 1)


def _centres(split: Split, rows: np.ndarray) -> np.ndarray[Any, Any]:
    columns = [split.latent_names.index(name) for name in _POSITIONS]
    centres: np.ndarray[Any, Any] = split.latents[rows][:, columns]
    return centres


def _boundaries(config: RunConfig) -> list[float]:
    """Gives where the encoders' rules part posX: in the middle between two ranges."""
    members = (member_config(config, encoder, 0) for encoder in encoders_of(study_of(config)))
    rules = next((one.data.training_rules for one in members if one.data.training_rules), ())
    ranges = sorted(rule["posX"] for rule in rules if "posX" in rule)
    return [(left[1] + right[0]) / 2 for left, right in itertools.pairwise(ranges)]
