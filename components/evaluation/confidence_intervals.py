"""Confidence intervals of accuracies that were measured on a finite test set."""

from math import sqrt
from statistics import NormalDist

from twofold.components.errors import EvaluationError


def binomial_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Give the Wilson score interval of an accuracy.

    Wilson 1927 ("Probable Inference, the Law of Succession, and Statistical Inference"): unlike
    the textbook interval it stays inside [0, 1] and keeps its width at accuracies near 0 and 1. It
    covers the choice of test images only, not the training seed.

    Args:
        correct: images classified correctly, in [0, total].
        total: images in the test set, at least 1.
        confidence: the probability with which such intervals hold the true accuracy, in (0, 1).

    Returns:
        The lower and upper bound, 0 <= lower <= correct / total <= upper <= 1.

    Raises:
        EvaluationError: if an argument is out of range.

    """
    if total < 1 or not 0 <= correct <= total or not 0 < confidence < 1:
        raise EvaluationError(
            "An interval needs 0 <= correct <= total, total >= 1 and a confidence in (0, 1), "
            f"but they are {correct}, {total} and {confidence}."
        )
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    margin = z * sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2) / (1 + z**2 / total)
    # At shares of 0 and 1 one bound is the share itself, but for rounding.
    return min(max(0.0, centre - margin), share), max(min(1.0, centre + margin), share)


def accuracy_metrics(name: str, correct: int, total: int) -> dict[str, float]:
    """Give an accuracy and the bounds of its 95 % interval, as `name`, `name`_low, `name`_high.

    Raises:
        EvaluationError: as `binomial_interval`.

    """
    low, high = binomial_interval(correct, total)
    return {name: correct / total, f"{name}_low": low, f"{name}_high": high}
