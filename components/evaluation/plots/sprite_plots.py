"""Plots of sprites: their latents' values, and where their centres may lie, in red."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots.run_plots import new_figure, plain, write_png

# Of dSprites: a centre is at least so far from each edge, as a share of the image's side.
MARGIN = 0.25
_MARK = "#E31A1C"
_COLUMNS = 5


def plot_latent_values(
    images: NDArray[Any],
    latents: NDArray[Any],
    names: Sequence[str],
    path: Path,
    title: str,
) -> None:
    """Draw images with the values of their latents below each, five in a row.

    Args:
        images: uint8 [n, H, W, C] with 1 or 3 channels.
        latents: float [n, L].
        names: of the L latents.
        path: of the PNG file; folders that lack are made.
        title: above all.

    Raises:
        EvaluationError: if there is no image, or shapes do not fit.

    """
    _check(images, latents, len(names))
    rows = math.ceil(len(images) / _COLUMNS)
    figure = new_figure(width=2.0 * _COLUMNS, height=0.5 + rows * (2.05 + 0.18 * len(names)))
    panels = _panels(figure, len(images), title)
    for panel, image, values in zip(panels, images, latents, strict=True):
        _show(panel, image)
        lines = [f"{plain(name)} {value:.3g}" for name, value in zip(names, values, strict=True)]
        panel.set_xlabel("\n".join(lines), fontsize=9)
    write_png(figure, path)


def plot_positions(
    images: NDArray[Any],
    centres: NDArray[Any],
    path: Path,
    title: str,
    boundaries: Sequence[float] = (),
) -> None:
    """Draw sprites with their centre and the box of all possible centres, in red, five in a row.

    The red is drawn over the images, and is no part of what an encoder sees.

    Args:
        images: uint8 [n, H, W, C] with 1 or 3 channels.
        centres: float [n, 2], posX and posY in [0, 1] across the box, from the left and the top.
        path: of the PNG file; folders that lack are made.
        title: above all.
        boundaries: values of posX at which the box is parted by a line.

    Raises:
        EvaluationError: if there is no image, shapes do not fit, or a centre is beyond the box.

    """
    _check(images, centres, 2)
    if centres.min() < 0 or centres.max() > 1:
        raise EvaluationError(
            f"Centres must be in [0, 1] across their box, but they go from {centres.min():g} to "
            f"{centres.max():g}."
        )
    rows = math.ceil(len(images) / _COLUMNS)
    figure = new_figure(width=2.0 * _COLUMNS, height=0.4 + 2.0 * rows)
    height, width = images.shape[1:3]
    box_height, box_width = (side * (1 - 2 * MARGIN) for side in (height, width))
    # A pixel's middle is at a whole number.
    left, top = (side * MARGIN - 0.5 for side in (width, height))
    panels = _panels(figure, len(images), title)
    for panel, image, (x, y) in zip(panels, images, centres, strict=True):
        _show(panel, image)
        box = Rectangle(
            (left, top), box_width, box_height, fill=False, edgecolor=_MARK, linestyle="--"
        )
        panel.add_patch(box)
        for boundary in boundaries:
            panel.plot(
                [left + boundary * box_width] * 2,
                [top, top + box_height],
                color=_MARK,
                linestyle="--",
                linewidth=1,
            )
        panel.plot(left + x * box_width, top + y * box_height, "o", color=_MARK, markersize=4)
    write_png(figure, path)


def _check(images: NDArray[Any], values: NDArray[Any], width: int) -> None:
    fits = images.ndim == 4 and images.shape[-1] in (1, 3) and 0 not in images.shape
    if not fits or values.shape != (len(images), width):
        raise EvaluationError(
            f"A figure of sprites needs images [n, H, W, C] and values [n, {width}], but their "
            f"shapes are {list(images.shape)} and {list(values.shape)}."
        )


def _panels(figure: Figure, count: int, title: str) -> list[Axes]:
    figure.suptitle(plain(title), fontsize=12)
    panels = figure.subplots(math.ceil(count / _COLUMNS), _COLUMNS, squeeze=False).ravel()
    for panel in panels[count:]:
        panel.set_visible(False)
    return list(panels[:count])


def _show(panel: Axes, image: NDArray[Any]) -> None:
    panel.imshow(np.broadcast_to(image, (*image.shape[:2], 3)), interpolation="nearest")
    panel.set_xticks([])
    panel.set_yticks([])
    for spine in panel.spines.values():
        spine.set_color("0.8")
