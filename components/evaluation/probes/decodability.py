"""Linear decodability of the latent factors that made an image, from its embedding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.geometry.similarity_matrix import sample_rows
from twofold.components.evaluation.input_checks import check_embeddings
from twofold.components.evaluation.probes.linear_probe import fit_logistic_regression
from twofold.components.evaluation.threads import threads_for

# Latents of so few values are classified; more are regressed.
MOST_CLASSES = 5
# A fit takes seconds at so many rows, and a read-out of some hundred weights gains little by more.
MOST_IMAGES = 5000
STRENGTHS = tuple(np.logspace(-2, 6, 9).tolist())

Measure = Literal["accuracy", "r2"]


@dataclass(frozen=True)
class Angle:
    """A latent that comes round, and after how much an image looks the same again.

    Attributes:
        periods: by the value of the latent `by`; its one entry holds for all where `by` is empty.
        by: the latent that the period hangs on. The angle is read within each of its values by a
            read-out of its own, since equal angles look different from value to value.

    """

    periods: Mapping[float, float]
    by: str = ""


# A square turned by a quarter is the same square, an ellipse by a half, a heart by a whole turn.
SPRITE_ANGLES: Mapping[str, Angle] = MappingProxyType(
    {
        "orientation": Angle(
            MappingProxyType({1.0: math.pi / 2, 2.0: math.pi, 3.0: 2 * math.pi}), "shape"
        )
    }
)


@dataclass(frozen=True)
class Decoded:
    """How well a linear read-out gets a latent of images that it was not fitted on.

    Attributes:
        measure: "accuracy", in [0, 1], or "r2", the share of the variance that is explained: 1 at
            best, 0 for the mean of the held-out values, and below 0 for worse than that.
        score: the value.
        chance: what a read-out that knows the most frequent training class scores; 0 for "r2".
        images: training images that it was fitted on.

    """

    measure: Measure
    score: float
    chance: float
    images: int

    @property
    def above_chance(self) -> float:
        """The share of the way from chance to perfect, clipped to [0, 1], to compare latents by."""
        if self.chance >= 1:
            return 0.0
        return min(1.0, max(0.0, (self.score - self.chance) / (1 - self.chance)))


def decode_latents(
    train_embeddings: NDArray[Any],
    train_latents: NDArray[Any],
    test_embeddings: NDArray[Any],
    test_latents: NDArray[Any],
    names: Sequence[str],
    *,
    angles: Mapping[str, Angle] = SPRITE_ANGLES,
    most_images: int = MOST_IMAGES,
    seed: int = 0,
) -> dict[str, Decoded]:
    """Fit a linear read-out of each latent to frozen embeddings, and score it on held-out ones.

    A latent of at most `MOST_CLASSES` values is read by logistic regression and scored by accuracy.
    Any other is read by ridge regression and scored by R^2 = 1 - sum (y - f)^2 / sum (y - mean)^2;
    an angle a of period p as the pair cos(2 pi a / p), sin(2 pi a / p), sums taken over both and
    over all values of what its period hangs on. Embeddings are standardised by the training images;
    the ridge's strength is the one of `STRENGTHS` of lowest leave-one-out error (scikit-learn's
    RidgeCV), for each target by itself.

    A latent that has one value only, in training or held out, has nothing to read and is left out.

    Args:
        train_embeddings: float [N, D].
        train_latents: numbers [N, L].
        test_embeddings: float [M, D].
        test_latents: numbers [M, L].
        names: of the L latents, all different.
        angles: which of them come round; a name that is not among the latents does not matter.
        most_images: of more training images so many are drawn, the same for every encoder.
        seed: of that draw.

    Returns:
        By latent, in the order of `names`.

    Raises:
        EvaluationError: if embeddings or latents cannot be used, or an angle has no period for a
            value, or too few images of one.

    """
    check_embeddings(train_embeddings, "train_embeddings")
    check_embeddings(test_embeddings, "test_embeddings")
    if train_embeddings.shape[1] != test_embeddings.shape[1]:
        raise EvaluationError(
            "Embeddings to read latents from must be of one width, but training has "
            f"{train_embeddings.shape[1]} and held-out {test_embeddings.shape[1]} columns."
        )
    _check_latents(train_latents, len(train_embeddings), names, "train_latents")
    _check_latents(test_latents, len(test_embeddings), names, "test_latents")
    rows = sample_rows(len(train_embeddings), most_images, seed)
    scaler = StandardScaler()
    train = scaler.fit_transform(train_embeddings[rows].astype(np.float64))
    test = scaler.transform(test_embeddings.astype(np.float64))
    targets, held_out = train_latents[rows].astype(float), test_latents.astype(float)
    found: dict[str, Decoded] = {}
    numbers = []
    for column, name in enumerate(names):
        known, asked = targets[:, column], held_out[:, column]
        if min(len(np.unique(known)), len(np.unique(asked))) < 2:
            continue
        if name in angles:
            groups = _angle_groups(name, angles[name], names, targets, held_out)
            score = _angle_score(train, known, test, asked, groups)
            found[name] = Decoded("r2", score, 0.0, len(rows))
        elif len(np.unique(known)) <= MOST_CLASSES:
            found[name] = _read_class(train, known, test, asked)
        else:
            numbers.append(column)
    if numbers:
        # One fit of all, since decomposing the embeddings is what takes the time.
        errors, spreads = _ridge_sums(train, targets[:, numbers], test, held_out[:, numbers])
        for column, score in zip(numbers, (1 - errors / spreads).tolist(), strict=True):
            found[names[column]] = Decoded("r2", score, 0.0, len(rows))
    return {name: found[name] for name in names if name in found}


def _check_latents(latents: NDArray[Any], rows: int, names: Sequence[str], what: str) -> None:
    if latents.shape != (rows, len(names)) or len(set(names)) != len(names) or not names:
        raise EvaluationError(
            f"{what} must be an array [{rows}, {len(names)}], a column for each of different "
            f"names, but its shape is {list(latents.shape)} and the names are {list(names)}."
        )
    if not np.isfinite(latents.astype(float)).all():
        raise EvaluationError(f"{what} must be finite numbers, but not all are.")


def _read_class(
    train: NDArray[Any], known: NDArray[Any], test: NDArray[Any], asked: NDArray[Any]
) -> Decoded:
    values = np.unique(np.concatenate([known, asked]))
    labels, expected = np.searchsorted(values, known), np.searchsorted(values, asked)
    probe = fit_logistic_regression(train, labels, classes=len(values))
    most_frequent = int(np.bincount(labels).argmax())
    return Decoded(
        "accuracy",
        probe.accuracy(test, expected),
        float((expected == most_frequent).mean()),
        len(train),
    )


Group = tuple[NDArray[np.bool_], NDArray[np.bool_], float]


def _angle_groups(
    name: str,
    angle: Angle,
    names: Sequence[str],
    targets: NDArray[Any],
    held_out: NDArray[Any],
) -> Iterator[Group]:
    """Yield which training and held-out images belong together, and their period."""
    if not angle.by:
        (period,) = angle.periods.values()
        yield np.ones(len(targets), bool), np.ones(len(held_out), bool), period
        return
    if angle.by not in names:
        raise EvaluationError(
            f"The period of {name} hangs on the latent {angle.by}, but the latents are "
            f"{', '.join(names)}."
        )
    column = list(names).index(angle.by)
    for value in np.unique(held_out[:, column]).tolist():
        if value not in angle.periods:
            raise EvaluationError(
                f"The period of {name} is known for {angle.by} {[*angle.periods]}, but "
                f"{angle.by} {value:g} came."
            )
        known = targets[:, column] == value
        if known.sum() < 2:
            raise EvaluationError(
                f"A read-out of {name} needs at least two training images of each {angle.by}, but "
                f"of {angle.by} {value:g} there are {known.sum()}."
            )
        yield known, held_out[:, column] == value, angle.periods[value]


def _angle_score(
    train: NDArray[Any],
    known: NDArray[Any],
    test: NDArray[Any],
    asked: NDArray[Any],
    groups: Iterator[Group],
) -> float:
    errors = spreads = 0.0
    for fitted_on, scored_on, period in groups:
        error, spread = _ridge_sums(
            train[fitted_on],
            _on_circle(known[fitted_on], period),
            test[scored_on],
            _on_circle(asked[scored_on], period),
        )
        errors, spreads = errors + float(error.sum()), spreads + float(spread.sum())
    return 1 - errors / spreads if spreads > 0 else 0.0


def _on_circle(angles: NDArray[Any], period: float) -> NDArray[np.float64]:
    turned = 2 * np.pi * angles / period
    return np.stack([np.cos(turned), np.sin(turned)], axis=1)


def _ridge_sums(
    train: NDArray[Any], known: NDArray[Any], test: NDArray[Any], asked: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give each column's squared error and squared distance to its mean, summed over images."""
    model = RidgeCV(STRENGTHS, alpha_per_target=True)
    with threads_for(2.0 * train.size * min(train.shape)):
        model.fit(train, known)
    found = model.predict(test).reshape(asked.shape)
    return ((asked - found) ** 2).sum(axis=0), ((asked - asked.mean(axis=0)) ** 2).sum(axis=0)
