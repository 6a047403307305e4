"""Plots of corruptions: sheets of corrupted images, and accuracy gained under each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots.run_plots import (
    DOTS_PER_INCH,
    new_figure,
    plain,
    write_png,
)
from twofold.components.evaluation.robustness.corruption_robustness import Robustness
from twofold.components.transforms.corruptions.common_corruptions import MAIN

# Red and blue are told apart with most colour-vision deficiencies; the signs are written, too.
GAIN_COLOURS = colormaps["RdBu"]

_GAP = 4
_CELL_PIXELS = 96


def plot_gain(
    measured: Robustness, baseline: Robustness, path: Path, title: str | None = None
) -> None:
    """Draw by how many points accuracies are above a baseline's, as a heat map.

    A row for each corruption, a column for each severity. Extra corruptions are below a line, the
    mean over the main ones is the last row above it, and the mean over severities the last column.
    Blue is better, red is worse, and white the same.

    Args:
        measured: of one encoder.
        baseline: of another one, for the same corruptions and severities.
        path: of the PNG file; folders that lack are made.
        title: above all, if any.

    """
    cells = _cells(measured) - _cells(baseline)
    rows, columns = cells.shape
    most = max(float(np.abs(cells).max()), 0.1)
    heading = 0.3 if title else 0.0
    figure = new_figure(width=2.7 + 0.62 * columns, height=0.9 + 0.29 * rows + heading)
    if title:
        figure.suptitle(plain(title), fontsize=12)
    panel = figure.add_subplot()
    heat_map = panel.imshow(
        cells, cmap=GAIN_COLOURS, vmin=-most, vmax=most, aspect="auto", interpolation="nearest"
    )
    for row, column in np.ndindex(cells.shape):
        value = float(cells[row, column])
        # The colours are dark at their ends.
        colour = "white" if abs(value) > 0.6 * most else "black"
        panel.text(column, row, f"{value:+.1f}", ha="center", va="center", fontsize=9, color=colour)
    panel.set_xticks(range(columns), [*map(str, measured.severities), "mean"])
    panel.set_yticks(range(rows), [name.replace("_", " ") for name in _groups(measured)])
    clean = 100 * (measured.clean - baseline.clean)
    panel.set_xlabel(f"severity (without any corruption {clean:+.1f})")
    panel.tick_params(length=0, labelsize=9)
    main = sum(name in MAIN for name in measured.corruptions)
    panel.axvline(columns - 1.5, color="white", linewidth=1.5)
    for border in {main - 0.5, main + 0.5} if main else set():
        panel.axhline(border, color="white", linewidth=1.5)
    for spine in panel.spines.values():
        spine.set_visible(False)
    figure.colorbar(heat_map, ax=panel, label="difference, points", shrink=0.6, pad=0.02)
    write_png(figure, path)


def _groups(measured: Robustness) -> dict[str, list[str]]:
    """Gives the rows by name, and which corruptions each is the mean of."""
    main = [name for name in measured.corruptions if name in MAIN]
    extra = [name for name in measured.corruptions if name not in MAIN]
    mean = {"mean of these": main} if main else {}
    return {name: [name] for name in main} | mean | {name: [name] for name in extra}


def _cells(measured: Robustness) -> np.ndarray:
    """Gives accuracies in per cent, with the means in the last column."""
    columns = [*([severity] for severity in measured.severities), measured.severities]
    groups = _groups(measured).values()
    return np.array(
        [[100 * measured.mean(group, column) for column in columns] for group in groups]
    )


def plot_contact_sheet(
    rows: Mapping[str, np.ndarray], columns: Sequence[str], path: Path, title: str | None = None
) -> None:
    """Draw images of one size in a grid, in all their colours.

    Args:
        rows: uint8 [columns, H, W, C] with 1 or 3 channels, by the row's name.
        columns: the columns' names.
        path: of the PNG file; folders that lack are made.
        title: above all, if any.

    Raises:
        EvaluationError: if there is no row, or shapes do not fit.

    """
    shapes = {images.shape for images in rows.values()}
    first = next(iter(shapes), ())
    if len(shapes) != 1 or len(first) != 4 or first[0] != len(columns) or first[-1] not in (1, 3):
        raise EvaluationError(
            f"A sheet of {len(columns)} columns needs rows [{len(columns)}, H, W, C] of one shape "
            f"with 1 or 3 channels, but their shapes are {sorted(map(list, shapes))}."
        )
    height, width = first[1:3]
    larger = max(1, -(-_CELL_PIXELS // max(height, width)))
    sheet = np.concatenate([_strip(images, larger) for images in rows.values()])
    cell_height, cell_width = height * larger + _GAP, width * larger + _GAP
    # Placed by hand, so that a pixel of the sheet is one of the picture.
    left, top = 1.5, 0.35 if title is None else 0.7
    tall, wide = (side / DOTS_PER_INCH for side in sheet.shape[:2])
    figure = new_figure(width=left + wide, height=top + tall)
    figure.set_layout_engine("none")
    if title:
        figure.suptitle(plain(title), fontsize=12)
    panel = figure.add_axes((left / (left + wide), 0, wide / (left + wide), tall / (top + tall)))
    panel.imshow(sheet, aspect="auto", interpolation="nearest")
    panel.set_xticks((np.arange(len(columns)) + 0.5) * cell_width, columns)
    panel.set_yticks((np.arange(len(rows)) + 0.5) * cell_height, [*rows])
    panel.tick_params(length=0, labelsize=10, labelbottom=False, labeltop=True)
    for spine in panel.spines.values():
        spine.set_visible(False)
    write_png(figure, path, few_colours=False)


def _strip(images: np.ndarray, larger: int) -> np.ndarray:
    """Puts images beside each other, each enlarged, with a white border."""
    images = images.repeat(larger, axis=1).repeat(larger, axis=2)
    images = np.broadcast_to(images, (*images.shape[:3], 3))
    half = (_GAP // 2, _GAP // 2)
    framed = np.pad(images, ((0, 0), half, half, (0, 0)), constant_values=255)
    return np.concatenate(list(framed), axis=1)
