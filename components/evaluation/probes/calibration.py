"""Expected calibration error and reliability diagrams of a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.input_checks import check_embeddings, check_labels
from twofold.components.evaluation.plots.run_plots import CURVE_COLOUR, new_figure, write_png


@dataclass(frozen=True, eq=False)
class Reliability:
    """Images by the probability of the predicted class, in B bins of equal width over [0, 1].

    Attributes:
        counts: int64 [B], images of a bin.
        confidences: float64 [B], their mean probability; 0 in empty bins.
        accuracies: float64 [B], the share predicted correctly; 0 in empty bins.

    """

    counts: NDArray[np.int64]
    confidences: NDArray[np.float64]
    accuracies: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error, in [0, 1].

        Guo et al. 2017 ("On Calibration of Modern Neural Networks", equations 3 and 5):
        sum_b n_b / N * |acc(b) - conf(b)|.
        """
        gaps = np.abs(self.accuracies - self.confidences)
        return float((self.counts * gaps).sum() / self.counts.sum())


def reliability(
    probabilities: NDArray[Any], labels: NDArray[np.integer], *, bins: int = 15
) -> Reliability:
    """Compare confidence and accuracy in the bins ((b - 1) / B, b / B].

    Args:
        probabilities: float [N, K], rows that add up to 1.
        labels: int [N] in [0, K).
        bins: B, at least 1.

    Raises:
        EvaluationError: if these are no probabilities, the labels cannot be used, or bins is below
            1.

    """
    check_embeddings(probabilities, "probabilities")
    check_labels(labels, len(probabilities), probabilities.shape[1])
    if bins < 1:
        raise EvaluationError(f"bins must be at least 1, but it is {bins}.")
    totals = probabilities.sum(axis=1, dtype=np.float64)
    if probabilities.min() < 0 or np.abs(totals - 1).max() > 1e-3:
        raise EvaluationError(
            "Probabilities must be at least 0 and add up to 1, but the least is "
            f"{probabilities.min():g} and rows add up to {totals.min():g} to {totals.max():g}."
        )
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bin_indices = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(bin_indices, minlength=bins)
    divisor = np.maximum(counts, 1)
    return Reliability(
        counts,
        np.bincount(bin_indices, confidence, minlength=bins) / divisor,
        np.bincount(bin_indices, right, minlength=bins) / divisor,
    )


def plot_reliability(measured: Reliability, path: Path, title: str) -> None:
    """Draw accuracy over confidence, and below how many images have which confidence.

    Args:
        measured: what to draw.
        path: of the PNG file; folders that lack are made.
        title: above all.

    """
    figure = new_figure(width=4.6, height=5.4)
    figure.suptitle(title, fontsize=12)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges = np.linspace(0, 1, len(measured.counts) + 1)
    filled = measured.counts > 0
    width = edges[1] - edges[0]
    upper.bar(
        edges[:-1][filled],
        measured.accuracies[filled],
        width,
        align="edge",
        color=CURVE_COLOUR,
        alpha=0.35,
        edgecolor=CURVE_COLOUR,
        linewidth=0.8,
        label="accuracy",
    )
    upper.plot([0, 1], [0, 1], color="0.45", linewidth=1, linestyle="--", label="as often as said")
    upper.plot(
        measured.confidences[filled],
        measured.accuracies[filled],
        color="#D55E00",
        linewidth=0,
        marker="o",
        markersize=4,
        label="mean of a bin",
    )
    upper.set_title(f"calibration error {measured.ece:.2%}", fontsize=10, loc="right")
    upper.set_ylabel("accuracy")
    upper.set_ylim(0, 1.02)
    upper.legend(loc="upper left", fontsize=9, frameon=False)
    lower.bar(edges[:-1], measured.counts / measured.counts.sum(), width, align="edge", color="0.6")
    lower.set_ylabel("share of images")
    lower.set_xlabel("confidence: probability of the predicted class")
    lower.set_xlim(0, 1)
    for panel in (upper, lower):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=9)
    write_png(figure, path)
