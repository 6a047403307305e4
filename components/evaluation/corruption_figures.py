"""The pictures of corruptions: what they do to an image, and what they cost in accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps

from components.evaluation.errors import EvaluationError
from components.evaluation.figures import DOTS_PER_INCH, new_figure, write_png
from components.evaluation.robustness import Robustness
from components.transforms.corruptions import MAIN

# Rises in lightness, so that it holds for colour-vision deficiencies and in grey.
ACCURACY_COLOURS = colormaps["cividis"]

_GAP = 4
_CELL_PIXELS = 96


def draw_robustness(measured: Robustness, path: Path, title: str | None = None) -> None:
    """Draw accuracies as a heat map: a row for each corruption, a column for each severity.

    Extra corruptions are below a line, the mean over the main ones is the last row above it, and
    the mean over severities the last column. The darkest colour is accuracy 0, the lightest the
    accuracy on clean images.

    Args:
        measured: of one encoder.
        path: of the PNG file; folders that lack are made.
        title: above all, if any.

    """
    main = [name for name in measured.corruptions if name in MAIN]
    extra = [name for name in measured.corruptions if name not in MAIN]
    severities = measured.severities
    groups = [[name] for name in main] + [main] * bool(main) + [[name] for name in extra]
    names = [*main, *["mean of these"] * bool(main), *extra]
    columns = [*([severity] for severity in severities), severities]
    cells = 100 * np.array(
        [[measured.mean(group, column) for column in columns] for group in groups]
    )
    heading = 0.3 if title else 0.0
    figure = new_figure(width=2.7 + 0.62 * len(columns), height=0.9 + 0.29 * len(names) + heading)
    if title:
        figure.suptitle(title.replace("$", r"\$"), fontsize=12)
    panel = figure.add_subplot()
    most = 100 * max(measured.clean, float(cells.max()) / 100, 0.01)
    heat_map = panel.imshow(
        cells, cmap=ACCURACY_COLOURS, vmin=0, vmax=most, aspect="auto", interpolation="nearest"
    )
    for row, column in np.ndindex(cells.shape):
        value = cells[row, column]
        colour = "black" if value > 0.55 * most else "white"
        panel.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=9, color=colour)
    panel.set_xticks(range(len(columns)), [*map(str, severities), "mean"])
    panel.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    panel.set_xlabel(f"severity (without any corruption {100 * measured.clean:.1f} %)")
    panel.tick_params(length=0, labelsize=9)
    panel.axvline(len(severities) - 0.5, color="white", linewidth=1.5)
    for border in {len(main) - 0.5, len(main) + 0.5} if main else set():
        panel.axhline(border, color="white", linewidth=1.5)
    for spine in panel.spines.values():
        spine.set_visible(False)
    figure.colorbar(heat_map, ax=panel, label="held-out accuracy, %", shrink=0.6, pad=0.02)
    write_png(figure, path)


def draw_contact_sheet(
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
        figure.suptitle(title.replace("$", r"\$"), fontsize=12)
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
