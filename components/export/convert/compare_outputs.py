"""Comparison of a converted model's outputs with those of the model it was made of."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from twofold.components.errors import ConversionError

_TINY = float(np.finfo(np.float32).tiny)
# One-sided 95 %: how much of a drop may be the draw of the images that it was counted on.
_SURE = 1.645


@dataclasses.dataclass(frozen=True)
class Difference:
    """Embeddings beside what they should be.

    Attributes:
        largest: the largest difference of one value, as a share of the largest expected value.
        mean_cosine: the mean over images of the cosine similarity of both embeddings.
        mean_centred_cosine: likewise, each less the mean of the expected embeddings. What all
            embeddings have in common hides a difference from the plain cosine. It is NaN where all
            expected embeddings are the same, as with one image.

    """

    largest: float
    mean_cosine: float
    mean_centred_cosine: float


def compare_embeddings(expected: np.ndarray, found: np.ndarray) -> Difference:
    """Compares embeddings, float [N, D] both.

    Raises:
        ValueError: if the shapes differ, or a value that was found is not finite.

    """
    centre = expected.mean(axis=0, dtype=np.float64)
    centred = expected - centre
    differ = np.abs(centred).max() > 1e-6 * max(np.abs(expected).max(), _TINY)
    return Difference(
        largest=largest_difference(expected, found),
        mean_cosine=float(_cosines(expected, found).mean()),
        mean_centred_cosine=(
            float(_cosines(centred, found - centre).mean()) if differ else math.nan
        ),
    )


def largest_difference(expected: np.ndarray, found: np.ndarray) -> float:
    """Returns max |found - expected| / max |expected|.

    Raises:
        ValueError: if the shapes differ, or a value that was found is not finite.

    """
    if found.shape != expected.shape:
        raise ValueError(f"expected an output of shape {expected.shape}, received {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError("expected an output of finite numbers, received others")
    return float(np.abs(found - expected).max()) / max(float(np.abs(expected).max()), _TINY)


@dataclasses.dataclass(frozen=True)
class AccuracyDrop:
    """Two classifications of the same images.

    Attributes:
        before: share of images that the first classified correctly.
        after: likewise, the second.
        certain: what is lost at least, with 95 % confidence: before - after less 1.645 standard
            errors of the paired difference.

    """

    before: float
    after: float
    certain: float


def accuracy_drop(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> AccuracyDrop:
    """Compares logits float [N, K] of one model with those of another, by labels int [N].

    With n10 images that only the first classifies correctly and n01 that only the second does, the
    drop is (n10 - n01) / N, and its standard error sqrt(n10 + n01 - (n10 - n01)^2 / N) / N
    (McNemar, 1947).
    """
    right_before = before.argmax(axis=1) == labels
    right_after = after.argmax(axis=1) == labels
    count = len(labels)
    lost = int((right_before & ~right_after).sum())
    won = int((~right_before & right_after).sum())
    error = math.sqrt(max(lost + won - (lost - won) ** 2 / count, 0.0)) / count
    return AccuracyDrop(
        before=float(right_before.mean()),
        after=float(right_after.mean()),
        certain=(lost - won) / count - _SURE * error,
    )


@dataclasses.dataclass(frozen=True)
class Tolerances:
    """How far a converted model may be from the original before it is refused.

    Attributes:
        largest_difference: of a float32 file: of an output's values, as a share of its largest.
        cosine: of a float32 file: the least mean cosine similarity of the embeddings.
        quantised_cosine: of a quantised file: the least mean cosine similarity of the centred
            embeddings (``Difference``).
        accuracy_drop: of any file, where there are labels: the share of images that it may surely
            classify worse (``AccuracyDrop.certain``).

    """

    largest_difference: float = 1e-3
    cosine: float = 0.9999
    quantised_cosine: float = 0.9
    accuracy_drop: float = 0.02


@dataclasses.dataclass(frozen=True)
class Measured:
    """A converted model beside the original, on a sample of images.

    Attributes:
        largest_difference: of an output's values, as a share of the output's largest.
        mean_cosine: of its embeddings and the original's.
        mean_centred_cosine: likewise, centred (``Difference``); None where the original gives all
            images one embedding.
        accuracy: share of the sample that it classifies correctly; None without labels.
        accuracy_drop: the original's share less its own, so negative where it does better.

    """

    largest_difference: float
    mean_cosine: float
    mean_centred_cosine: float | None
    accuracy: float | None
    accuracy_drop: float | None


def judge(
    file: str,
    expected: dict[str, np.ndarray],
    answers: dict[str, np.ndarray],
    labels: np.ndarray | None,
    tolerances: Tolerances,
    *,
    quantised: bool,
) -> Measured:
    """Measures a file's answers by the original's, and refuses what is too far from them.

    Args:
        file: how errors name it.
        expected: the original's outputs by name, float32 [N, ...] each, an ``embedding`` among
            them.
        answers: the file's.
        labels: int [N], where there are ``logits``, or None.
        tolerances: what is refused.
        quantised: which of the tolerances apply.

    Returns:
        What was measured.

    Raises:
        ConversionError: if an output is missing, of another shape, not finite, or too far off.

    """
    if set(answers) != set(expected):
        raise ConversionError(
            f"{file} gives {', '.join(sorted(answers))}: expected {', '.join(sorted(expected))}"
        )
    try:
        largest = max(largest_difference(expected[name], answers[name]) for name in expected)
        difference = compare_embeddings(expected["embedding"], answers["embedding"])
    except ValueError as error:
        raise ConversionError(f"{file}: {error}") from error
    centred = None if math.isnan(difference.mean_centred_cosine) else difference.mean_centred_cosine
    drop = None if labels is None else accuracy_drop(expected["logits"], answers["logits"], labels)
    faults = []
    if quantised:
        cosine, least, kind = centred, tolerances.quantised_cosine, "centred cosine"
        if centred is None:
            faults.append("the original gives all sample images one embedding")
    else:
        cosine, least, kind = difference.mean_cosine, tolerances.cosine, "cosine"
        if largest > tolerances.largest_difference:
            faults.append(
                f"its outputs differ by {largest:.2e} of the largest value, expected at most "
                f"{tolerances.largest_difference:.0e}"
            )
    if cosine is not None and cosine < least:
        faults.append(
            f"the mean {kind} of its embeddings and the original's is {cosine:.5f}, expected at "
            f"least {least}"
        )
    if drop is not None and drop.certain > tolerances.accuracy_drop:
        faults.append(
            f"its accuracy is {drop.after:.2%} where the original's is {drop.before:.2%}, expected "
            f"to lose at most {tolerances.accuracy_drop:.0%}"
        )
    if faults:
        raise ConversionError(f"{file} does not answer as the original: {'; '.join(faults)}")
    return Measured(
        largest_difference=largest,
        mean_cosine=difference.mean_cosine,
        mean_centred_cosine=centred,
        accuracy=None if drop is None else drop.after,
        accuracy_drop=None if drop is None else drop.before - drop.after,
    )


def _cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns float64 [N]; two zero vectors are alike (1), a zero and another are not (0)."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
    product = lengths[0] * lengths[1]
    cosines = (one * other).sum(axis=1) / np.where(product == 0, 1, product)
    both_zero = (lengths[0] == lengths[1]).astype(float)
    defined: np.ndarray = np.where(product == 0, both_zero, cosines)
    return defined
