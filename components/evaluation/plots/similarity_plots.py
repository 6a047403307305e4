"""Similarity plots: matrices and histograms of several encoders' similarities side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
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

_BINS = np.linspace(-1, 1, 81)


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
