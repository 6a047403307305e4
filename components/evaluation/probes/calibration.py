"""Expected calibration error of a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.input_checks import check_embeddings, check_labels


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
