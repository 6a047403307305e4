"""Plots of a run: similarity matrices, views and dictionaries, as small PNG files."""

import math
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from twofold.components import files
from twofold.components.errors import EvaluationError

# Both hold for the common colour-vision deficiencies: a diverging map whose white is similarity 0,
# and the dark blue of the Okabe-Ito palette. Steps of 0.05 in similarity are as many as an eye
# tells apart, and a noisy matrix compresses better in so few colours.
SIMILARITY_COLOURS = colormaps["RdBu_r"].resampled(40)
CURVE_COLOUR = "#0072B2"
# The Okabe-Ito palette without its yellow, which is faint on white.
COLOURS = (CURVE_COLOUR, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

# What a heat map has room for: groups with a border and a label each, and letters below it in all.
LABELLED_GROUPS = 10
LETTERS_IN_A_LINE = 36
MATRICES_IN_A_ROW = 3
DOTS_PER_INCH = 100
# More rows than a heat map has pixels are averaged.
DRAWN_ROWS = 1000
_TICKS = 6


def plot_rsm(
    matrices: NDArray[Any] | Mapping[str, NDArray[Any]],
    sorted_latent_values: NDArray[Any],
    latent_name: str,
    title: str,
    path: Path,
    tick_names: Sequence[str] | None = None,
) -> None:
    """Draw similarity matrices as heat maps on one scale from -1 to 1, at most three in a row.

    Args:
        matrices: float [n, n] in [-1, 1], or one such matrix for each encoder by its name.
        sorted_latent_values: numbers [n], the latent that rows and columns are sorted by, rising.
        latent_name: what the axes are called.
        title: above all.
        path: of the PNG file; folders that lack are made.
        tick_names: names of the latent's values where these are class numbers; the value itself
            is written otherwise.

    Raises:
        EvaluationError: if there is no matrix, shapes do not fit, or a value has no name.

    """
    named = matrices if isinstance(matrices, Mapping) else {"": matrices}
    size = len(sorted_latent_values)
    shapes = {name: list(matrix.shape) for name, matrix in named.items()}
    if not named or any(shape != [size, size] for shape in shapes.values()):
        raise EvaluationError(
            f"A similarity figure of {size} images needs matrices [{size}, {size}], not {shapes}."
        )
    if tick_names is not None and not set(sorted_latent_values) <= set(range(len(tick_names))):
        raise EvaluationError(
            f"Values of {latent_name} must be in [0, {len(tick_names)}) to have one of its "
            f"{len(tick_names)} names, but they are {np.unique(sorted_latent_values).tolist()}."
        )
    borders, centres, names = _group_ticks(sorted_latent_values, tick_names)
    rotation = 90 if sum(map(len, names)) > LETTERS_IN_A_LINE else 0
    # Names get room beside and below the matrices, instead of taking it from them.
    longest = max(map(len, names))
    beside = 0.08 * max(0, longest - 8)
    below = 0.1 * longest if rotation else 0.1
    rows = math.ceil(len(named) / MATRICES_IN_A_ROW)
    columns = math.ceil(len(named) / rows)
    figure = new_figure(width=0.9 + 3.6 * columns + beside, height=0.3 + (3.8 + below) * rows)
    figure.suptitle(plain(title), fontsize=12)
    panels = _panels(figure, rows, columns)
    for index, (panel, (name, matrix)) in enumerate(zip(panels, named.items(), strict=False)):
        heat_map = panel.imshow(
            _averaged(matrix),
            cmap=SIMILARITY_COLOURS,
            vmin=-1,
            vmax=1,
            interpolation="nearest",
            # Rows keep their numbers, however many were averaged.
            extent=(-0.5, size - 0.5, size - 0.5, -0.5),
        )
        panel.set_title(plain(name), fontsize=11)
        if index + columns >= len(named):
            panel.set_xlabel(plain(latent_name))
        panel.set_xticks(centres, names, rotation=rotation)
        first = index % columns == 0
        panel.set_yticks(centres, names if first else [""] * len(names))
        if first:
            panel.set_ylabel(plain(latent_name))
        panel.tick_params(length=0 if borders else 3, labelsize=9)
        for border in borders:
            panel.axvline(border, color="black", linewidth=0.6)
            panel.axhline(border, color="black", linewidth=0.6)
    for panel in panels[len(named) :]:
        panel.set_visible(False)
    figure.colorbar(
        heat_map, ax=panels, label="cosine similarity", shrink=0.85 / rows, pad=0.02, aspect=20
    )
    write_png(figure, path)


def plot_views(
    originals: NDArray[Any],
    views: NDArray[Any],
    path: Path,
    title: str | None = None,
    name: str | Sequence[str] = "view",
) -> None:
    """Draw images in a row and their views below them, one row for each view.

    Args:
        originals: uint8 or float in [0, 1], [n, H, W, C] with 1 or 3 channels.
        views: uint8 or float in [0, 1], [V, n, h, w, C]; floats beyond [0, 1] are clipped.
        path: of the PNG file; folders that lack are made.
        title: above all, if any.
        name: what a row of views is called, numbered where there are several; or a name for each.

    Raises:
        EvaluationError: if there is no image or view, or shapes or names do not fit.

    """
    fits = (
        originals.ndim == 4
        and views.ndim == 5
        and 0 not in (*originals.shape, *views.shape)
        and len(originals) == views.shape[1]
        and {originals.shape[-1], views.shape[-1]} <= {1, 3}
    )
    if not fits:
        raise EvaluationError(
            "A figure of views needs originals [n, H, W, C] and views [V, n, h, w, C] with 1 or "
            f"3 channels, but their shapes are {list(originals.shape)} and {list(views.shape)}."
        )
    names = name
    if isinstance(names, str):
        several = [f"{name} {number}" for number in range(1, len(views) + 1)]
        names = several if len(views) > 1 else [names]
    if len(names) != len(views):
        raise EvaluationError(f"{len(views)} rows of views need as many names, not {len(names)}.")
    rows = [("original", originals), *zip(names, views, strict=True)]
    columns = len(originals)
    heading = 0.35 if title else 0.0
    figure = new_figure(width=0.9 + 0.95 * columns, height=0.95 * len(rows) + heading)
    if title:
        figure.suptitle(title, fontsize=12)
    panels = _panels(figure, rows=len(rows), columns=columns)
    for row, (row_name, images) in enumerate(rows):
        row_panels = panels[row * columns : (row + 1) * columns]
        row_panels[0].set_ylabel(
            row_name, rotation="horizontal", ha="right", va="center", fontsize=11, labelpad=8
        )
        for panel, image in zip(row_panels, images, strict=True):
            panel.imshow(_as_rgb(image), interpolation="nearest")
            panel.set_xticks([])
            panel.set_yticks([])
            for spine in panel.spines.values():
                spine.set_color("0.8")
    write_png(figure, path)


def plot_dictionary(atoms: NDArray[Any], path: Path, most: int = 200) -> None:
    """Draw the first atoms of a dictionary of patches, each as strong as it can be shown.

    Grey is 0: an atom has what is brighter, and lacks what is darker.

    Args:
        atoms: float [K, side, side, C] with 1 or 3 channels.
        path: of the PNG file; folders that lack are made.
        most: how many are drawn at most.

    Raises:
        EvaluationError: if there is no atom, or the shape does not fit.

    """
    if atoms.ndim != 4 or 0 in atoms.shape or atoms.shape[-1] not in (1, 3):
        raise EvaluationError(
            "A figure of a dictionary needs atoms [K, side, side, C] with 1 or 3 channels, but "
            f"their shape is {list(atoms.shape)}."
        )
    shown = atoms[:most]
    columns = min(len(shown), 20)
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(width=0.45 * columns, height=0.45 * rows)
    for panel in _panels(figure, rows=rows, columns=columns):
        panel.set_axis_off()
    for panel, atom in zip(figure.axes, shown, strict=False):
        largest = np.abs(atom).max()
        image = 0.5 + atom / (2 * largest) if largest > 0 else np.full_like(atom, 0.5)
        panel.imshow(_as_rgb(image), interpolation="nearest")
    write_png(figure, path, few_colours=False)


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in inches that no global state knows."""
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    # pyplot would register the figure in global state; a canvas of its own makes it safe to draw
    # from any thread and frees it with its last reference.
    FigureCanvasAgg(figure)
    return figure


def _panels(figure: Figure, rows: int, columns: int) -> list[Axes]:
    return list(figure.subplots(rows, columns, squeeze=False).ravel())


def _group_ticks(
    values: NDArray[Any], tick_names: Sequence[str] | None
) -> tuple[list[float], list[float], list[str]]:
    """Give the borders between groups of equal values, and where to write which values.

    Few groups get a border each and a name in the middle; of many, round numbers are written where
    the values reach them, or of named ones evenly spaced rows.
    """
    starts = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    if len(starts) <= LABELLED_GROUPS:
        ends = np.append(starts[1:], len(values))
        named, centres, borders = starts, (starts + ends - 1) / 2, starts[1:] - 0.5
    elif tick_names is None:
        low, high = float(values[0]), float(values[-1])
        ticks = np.asarray(MaxNLocator(_TICKS).tick_values(low, high))
        round_ones = [one for one in ticks.tolist() if low <= one <= high]
        reached = np.searchsorted(values, np.array(round_ones) - 1e-9 * max(1.0, high - low))
        return [], reached.astype(float).tolist(), [f"{one:.3g}" for one in round_ones]
    else:
        named = np.linspace(0, len(values) - 1, LABELLED_GROUPS // 2 + 1).round().astype(int)
        centres, borders = named.astype(float), np.zeros(0)
    names = [
        plain(tick_names[int(value)]) if tick_names is not None else f"{value:.3g}"
        for value in values[named]
    ]
    return borders.tolist(), centres.tolist(), names


def _averaged(matrix: NDArray[Any]) -> NDArray[Any]:
    """Give means over blocks of rows and columns where there are more than can be seen."""
    if len(matrix) <= DRAWN_ROWS:
        return matrix
    starts = np.linspace(0, len(matrix), DRAWN_ROWS, endpoint=False).astype(int)
    counts = np.diff(starts, append=len(matrix))
    summed = np.add.reduceat(np.add.reduceat(matrix, starts, axis=0), starts, axis=1)
    averaged: NDArray[Any] = summed / np.outer(counts, counts)
    return averaged


def plain(text: str) -> str:
    """Keep dollar signs in names from being read as formulas."""
    return text.replace("$", r"\$")


def _as_rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    if image.dtype != np.uint8:
        image = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    return np.broadcast_to(image, (*image.shape[:2], 3))


def _in_few_colours(image: Image.Image) -> Image.Image:
    """Give the image in a palette of 256 colours of its own, in about 40 % of the bytes."""
    palette = image.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=3)
    indexed = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    # The background's entry is a mean of near-whites, and shows as a grey box on a white page.
    background = int(np.asarray(indexed)[0, 0])
    colours = np.reshape(indexed.getpalette() or [], (-1, 3))
    colours[background] = 255
    indexed.putpalette(colours.ravel().tolist())
    return indexed


def write_png(figure: Figure, path: Path, *, few_colours: bool = True) -> None:
    """Write the figure under a temporary name and move it, so that no half file is ever seen.

    Args:
        figure: to write.
        path: of the PNG file; folders that lack are made.
        few_colours: whether 256 colours will do.

    """
    rendered, encoded = BytesIO(), BytesIO()
    with warnings.catch_warnings():
        # Names in a script that the font lacks show as boxes, which is no trouble of the run.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(rendered, format="png")
    with Image.open(rendered) as image:
        drawn = image.convert("RGB")
        drawn = _in_few_colours(drawn) if few_colours else drawn
        drawn.save(encoded, format="png", optimize=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, encoded.getvalue())
