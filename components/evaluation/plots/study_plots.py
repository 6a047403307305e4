"""Plots of a study: similarities, accuracies and read-outs of several encoders side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.geometry.similarity_matrix import sort_order, split_pairs
from twofold.components.evaluation.plots.run_plots import (
    COLOURS,
    MATRICES_IN_A_ROW,
    new_figure,
    plain,
    plot_rsm,
    write_png,
)
from twofold.components.evaluation.probes.decodability import Decoded
from twofold.components.evaluation.probes.label_fractions import MeanInterval

# One for each of COLOURS.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
REFERENCE_COLOUR = "#444444"
# Rises in lightness, so that it holds for colour-vision deficiencies and in grey.
ACCURACY_COLOURS = colormaps["cividis"]
_BINS = np.linspace(-1, 1, 81)
_MEASURES = {"accuracy": "accuracy, %", "r2": "R\u00b2"}


def plot_rsms(
    matrices: Mapping[str, NDArray[Any]],
    values: NDArray[Any],
    latent: str,
    title: str,
    path: Path,
    names: Sequence[str] | None = None,
) -> None:
    """Draw similarity matrices of several encoders side by side, sorted by a latent.

    Images of equal value stay in the order that they have, so that matrices of images that are
    sorted by one latent can be drawn by another with the first within its blocks.

    Args:
        matrices: float [n, n] in [-1, 1] by encoder, of the same images in the same order.
        values: numbers [n], the latent of these images, in that order.
        latent: what the axes are called.
        title: above all.
        path: of the PNG file; folders that lack are made.
        names: of the latent's values where these are class numbers.

    Raises:
        EvaluationError: if there is no matrix, shapes do not fit, or a value has no name.

    """
    order = sort_order(values)
    fits = all(matrix.shape == (len(order), len(order)) for matrix in matrices.values())
    # What does not fit is left to be refused where any matrix is.
    ordered = {
        name: matrix[np.ix_(order, order)] if fits else matrix for name, matrix in matrices.items()
    }
    plot_rsm(ordered, values[order], latent, title, path, names)


def plot_rsm_histograms(
    matrices: Mapping[str, NDArray[Any]],
    path: Path,
    title: str,
    values: NDArray[Any] | None = None,
    latent: str = "latent",
) -> None:
    """Draw how the similarities of different images spread, a panel for each encoder.

    Each pair of two different images counts once; a curve's area is 1. With `values`, pairs of
    equal and of different value are drawn apart, with the mean of each written in: the further
    apart these lie, the more the encoder sorts images by the latent.

    Args:
        matrices: float [n, n] in [-1, 1] by encoder, symmetric, n at least 2.
        path: of the PNG file; folders that lack are made.
        title: above all.
        values: numbers [n], the latent of the images in the matrices' order.
        latent: what it is called.

    Raises:
        EvaluationError: if there is no matrix or one is not of a square shape that fits.

    """
    if not matrices:
        raise EvaluationError("A histogram of similarities needs a matrix, but there is none.")
    rows = math.ceil(len(matrices) / MATRICES_IN_A_ROW)
    columns = math.ceil(len(matrices) / rows)
    figure = new_figure(width=0.5 + 3.3 * columns, height=0.9 + 2.3 * rows)
    figure.suptitle(plain(title), fontsize=12)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    handles: dict[str, Any] = {}
    for position, (panel, (name, matrix)) in enumerate(zip(panels, matrices.items(), strict=False)):
        within, between = split_pairs(matrix, values)
        groups = {"all pairs": between}
        if values is not None:
            groups = {f"same {latent}": within, f"other {latent}": between}
        # Most pairs lie on one side of 0, and the means are written on the other.
        left = (matrix > 0).mean() > 0.5
        shown = zip(groups.items(), COLOURS, (0.97, 0.83), strict=False)
        for (group, similarities), colour, height in shown:
            if not len(similarities):
                continue
            bars = panel.stairs(
                np.histogram(similarities, _BINS, density=True)[0],
                _BINS,
                fill=True,
                color=colour,
                alpha=0.45,
            )
            handles.setdefault(plain(group), bars)
            mean = float(similarities.mean())
            panel.axvline(mean, color=colour, linewidth=1.4, linestyle="--")
            panel.text(
                0.02 if left else 0.98,
                height,
                f"mean {mean:.2f}",
                transform=panel.transAxes,
                ha="left" if left else "right",
                va="top",
                fontsize=9,
                color=colour,
            )
        panel.set_title(plain(name), fontsize=11)
        panel.set_xlim(-1, 1)
        panel.set_xticks([-1, -0.5, 0, 0.5, 1])
        panel.set_yticks([])
        panel.tick_params(labelsize=9, labelbottom=True)
        if position + columns >= len(matrices):
            panel.set_xlabel("cosine similarity of two images", fontsize=9)
        panel.spines[["top", "right", "left"]].set_visible(False)
    for panel in panels[len(matrices) :]:
        panel.set_visible(False)
    figure.supylabel("density of pairs", fontsize=10)
    if len(handles) > 1:
        figure.legend(
            [*handles.values()],
            [*handles],
            loc="outside lower center",
            ncols=2,
            fontsize=9,
            frameon=False,
        )
    write_png(figure, path)


def plot_similarity_overlay(
    matrices: Mapping[str, NDArray[Any]], path: Path, title: str, bins: int = 100
) -> None:
    """Draw how the similarities of different images spread, of several encoders over each other.

    Each pair of two different images counts once; an encoder's area is 1.

    Args:
        matrices: float [n, n] in [-1, 1] by encoder, symmetric, n at least 2.
        path: of the PNG file; folders that lack are made.
        title: above all.
        bins: how many, from the least to the largest similarity of all.

    Raises:
        EvaluationError: if there is no matrix or one is not of a square shape.

    """
    if not matrices:
        raise EvaluationError("A histogram of similarities needs a matrix, but there is none.")
    pairs = {name: split_pairs(matrix)[1] for name, matrix in matrices.items()}
    edges = np.linspace(
        min(float(one.min()) for one in pairs.values()),
        max(float(one.max()) for one in pairs.values()),
        bins + 1,
    )
    figure = new_figure(width=6.6, height=4.2)
    panel = figure.add_subplot()
    panel.set_title(plain(title), fontsize=12)
    for (name, similarities), colour in zip(pairs.items(), cycle(COLOURS), strict=False):
        panel.stairs(
            np.histogram(similarities, edges, density=True)[0],
            edges,
            fill=True,
            color=colour,
            alpha=0.4,
            label=plain(name),
        )
    panel.axvline(0, color="black", linewidth=1, linestyle="--", alpha=0.6)
    panel.set_xlabel("cosine similarity of two images")
    panel.set_ylabel("density of pairs")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=9, frameon=False)
    write_png(figure, path)


def plot_decodability(
    table: Mapping[str, Mapping[str, Decoded]],
    path: Path,
    title: str = "Latents read linearly from the embedding",
) -> None:
    """Draw encoders x latents with the score of each in its cell.

    The colour is the share of the way from chance to perfect, so that accuracies and R^2 compare;
    the numbers are the scores themselves. A latent that an encoder lacks leaves a grey cell.

    Args:
        table: by encoder, by latent.
        path: of the PNG file; folders that lack are made.
        title: above all.

    Raises:
        EvaluationError: if there is nothing to draw, or a latent is scored in two ways.

    """
    measures: dict[str, set[str]] = {}
    for scores in table.values():
        for latent, decoded in scores.items():
            measures.setdefault(latent, set()).add(decoded.measure)
    if not measures or any(len(kinds) > 1 for kinds in measures.values()):
        raise EvaluationError(
            "A figure of read-outs needs at least one score, and one measure a latent, not "
            f"{ {latent: sorted(kinds) for latent, kinds in measures.items()} }."
        )
    cells = np.array(
        [
            [scores[latent].above_chance if latent in scores else np.nan for latent in measures]
            for scores in table.values()
        ]
    )
    longest = max(map(len, table))
    figure = new_figure(
        width=1.9 + 0.085 * longest + 1.0 * len(measures), height=1.3 + 0.42 * len(table)
    )
    figure.suptitle(plain(title), fontsize=12)
    panel = figure.add_subplot()
    panel.set_facecolor("0.85")
    heat_map = panel.imshow(
        cells, cmap=ACCURACY_COLOURS, vmin=0, vmax=1, aspect="auto", interpolation="nearest"
    )
    for row, scores in enumerate(table.values()):
        for column, latent in enumerate(measures):
            if latent in scores:
                decoded = scores[latent]
                panel.text(
                    column,
                    row,
                    _score_text(decoded),
                    ha="center",
                    va="center",
                    fontsize=10,
                    color="black" if decoded.above_chance > 0.55 else "white",
                )
    panel.set_xticks(
        range(len(measures)),
        [f"{plain(latent)}\n{_MEASURES[kind]}" for latent, (kind,) in measures.items()],
    )
    panel.set_yticks(range(len(table)), [plain(name) for name in table])
    panel.tick_params(length=0, labelsize=9)
    for spine in panel.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(heat_map, ax=panel, pad=0.02)
    bar.set_ticks([0, 1], labels=["chance", "perfect"], fontsize=9)
    bar.outline.set_visible(False)
    write_png(figure, path)


def plot_accuracies(
    measured: Mapping[str, Mapping[str, float | MeanInterval]],
    path: Path,
    title: str,
    reference: Mapping[str, float] | None = None,
    chance: float | None = None,
) -> None:
    """Draw accuracies as bars, grouped by encoder, beside those that others report.

    Args:
        measured: accuracy in [0, 1], or its mean and interval, by encoder and by measure.
        path: of the PNG file; folders that lack are made.
        title: above all.
        reference: reported accuracy in [0, 1] by encoder, where there is one: a bar beside ours.
        chance: drawn as a line.

    Raises:
        EvaluationError: if there is no accuracy, or one is out of range.

    """
    reference = reference or {}
    series: dict[str, dict[str, MeanInterval]] = {}
    for encoder, accuracies in measured.items():
        for measure, value in accuracies.items():
            series.setdefault(measure, {})[encoder] = _interval(value, f"{encoder}, {measure}")
    if not series:
        raise EvaluationError("A figure of accuracies needs at least one, but there is none.")
    colours = dict(zip(series, cycle(COLOURS), strict=False))
    known = {
        name: _interval(value, f"{name}, reference")
        for name, value in reference.items()
        if name in measured
    }
    if known:
        series["reference"], colours["reference"] = known, "0.65"
    bars = sum(map(len, series.values()))
    longest = max(map(len, measured))
    figure = new_figure(
        width=5.2 + 0.08 * longest, height=1.1 + 0.24 * bars + 0.14 * len(measured) + 0.2
    )
    panel = figure.add_subplot()
    panel.set_title(plain(title), fontsize=12)
    position, centres = 0.0, []
    labelled: set[str] = set()
    for encoder in measured:
        own = {name: values[encoder] for name, values in series.items() if encoder in values}
        for name, value in own.items():
            panel.barh(
                position,
                100 * value.mean,
                height=0.88,
                color=colours[name],
                label=plain(name) if name not in labelled else "_",
            )
            labelled.add(name)
            reach = 100 * max(value.high, value.mean)
            if value.high > value.low:
                panel.plot(
                    [100 * value.low, 100 * value.high],
                    [position, position],
                    color="black",
                    linewidth=1,
                )
            panel.text(reach + 1, position, f"{100 * value.mean:.1f}", va="center", fontsize=9)
            position += 1
        centres.append(position - (len(own) + 1) / 2)
        position += 0.6
    if chance is not None:
        panel.axvline(100 * chance, color="0.3", linewidth=1, linestyle="--", label="chance")
    panel.set_yticks(centres, [plain(name) for name in measured])
    panel.invert_yaxis()
    # Room for the number behind a bar of 100 %.
    panel.set_xlim(0, 110)
    panel.set_xticks(range(0, 101, 20))
    panel.set_xlabel("held-out accuracy, %")
    panel.tick_params(axis="y", length=0)
    _finish_axes(panel, "x")
    if len(labelled) > 1 or chance is not None:
        figure.legend(loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    write_png(figure, path)


def plot_fraction_curves(
    curves: Mapping[str, Mapping[float, float | MeanInterval]],
    path: Path,
    title: str,
    chance: float | None = None,
    training: Mapping[str, Mapping[float, float | MeanInterval]] | None = None,
) -> None:
    """Draw accuracy over the share of labels, a curve for each encoder, with its intervals.

    Args:
        curves: by encoder, by share in (0, 1]: accuracy in [0, 1], or its mean and interval.
        path: of the PNG file; folders that lack are made.
        title: above all.
        chance: drawn as a line.
        training: likewise on the images that were trained on: a dashed curve each.

    Raises:
        EvaluationError: if there is nothing to draw, or a share or accuracy is out of range.

    """
    shares = sorted({share for curve in curves.values() for share in curve})
    if not shares or not all(curves.values()) or not 0 < shares[0] <= shares[-1] <= 1:
        raise EvaluationError(
            "A figure of label fractions needs shares in (0, 1] for each encoder, but they are "
            f"{ {name: [*curve] for name, curve in curves.items()} }."
        )
    figure = new_figure(width=6.6, height=4.2)
    panel = figure.add_subplot()
    panel.set_title(plain(title), fontsize=12)
    styles = zip(cycle(COLOURS), cycle(MARKERS), strict=True)
    banded = False
    for (name, curve), (colour, marker) in zip(curves.items(), styles, strict=False):
        positions = sorted(curve)
        points = [_interval(curve[share], f"{name}, {share:g}") for share in positions]
        low, high = [100 * one.low for one in points], [100 * one.high for one in points]
        banded |= low != high
        panel.fill_between(positions, low, high, color=colour, alpha=0.18, linewidth=0)
        panel.plot(
            positions,
            [100 * one.mean for one in points],
            color=colour,
            marker=marker,
            markersize=5,
            linewidth=1.4,
            label=plain(name),
        )
        seen = (training or {}).get(name, {})
        panel.plot(
            sorted(seen),
            [100 * _interval(seen[share], f"{name}, training").mean for share in sorted(seen)],
            color=colour,
            marker=marker,
            markersize=4,
            linewidth=1,
            linestyle="--",
            alpha=0.5,
        )
    if training:
        panel.plot([], [], color="0.3", linestyle="--", alpha=0.5, label="on training images")
    if chance is not None:
        panel.axhline(100 * chance, color="0.3", linewidth=1, linestyle=":", label="chance")
    panel.set_xscale("log")
    panel.set_xticks(shares, [f"{100 * share:g}" for share in shares])
    panel.set_xticks([], minor=True)
    if len(shares) == 1:
        panel.set_xlim(shares[0] / 2, shares[0] * 2)
    panel.set_xlabel("labels kept, % (logarithmic)")
    panel.set_ylabel("accuracy, %" if training else "held-out accuracy, %")
    _finish_axes(panel, "both")
    figure.legend(
        loc="outside right upper",
        title="band: 95 % interval" if banded else None,
        title_fontsize=9,
        fontsize=9,
        frameon=False,
    )
    write_png(figure, path)


def _finish_axes(panel: Axes, grid: str) -> None:
    panel.grid(axis=grid, color="0.9", linewidth=0.8)  # type: ignore[arg-type]
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _score_text(decoded: Decoded) -> str:
    if decoded.measure == "accuracy":
        return f"{100 * decoded.score:.1f}"
    # A failing read-out can be arbitrarily bad, and no digit of that says anything.
    return f"{round(decoded.score, 2) + 0.0:.2f}" if decoded.score > -1 else "< -1"


def _interval(value: float | MeanInterval, what: str) -> MeanInterval:
    found = value if isinstance(value, MeanInterval) else MeanInterval(value, value, value)
    if not 0 <= found.low <= found.mean <= found.high <= 1:
        raise EvaluationError(
            f"An accuracy to draw must be in [0, 1] and within its interval, but {what} is "
            f"{found.mean:g} in [{found.low:g}, {found.high:g}]."
        )
    return found
