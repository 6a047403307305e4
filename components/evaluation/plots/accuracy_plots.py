"""Accuracy plots: accuracies, label fractions and read-outs of several encoders side by side."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots.run_plots import COLOURS, new_figure, plain, write_png
from twofold.components.evaluation.probes.decodability import Decoded
from twofold.components.evaluation.probes.label_fractions import MeanInterval

# One for each of COLOURS.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# Rises in lightness, so that it holds for colour-vision deficiencies and in grey.
_ACCURACY_COLOURS = colormaps["cividis"]
_MEASURES = {"accuracy": "accuracy, %", "r2": "R\u00b2"}


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
        cells, cmap=_ACCURACY_COLOURS, vmin=0, vmax=1, aspect="auto", interpolation="nearest"
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
    styles = zip(cycle(COLOURS), cycle(_MARKERS), strict=True)
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
