"""Softmax regression that converges in tens of steps, however alike features are."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.linalg
import scipy.optimize
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from twofold.components.evaluation.threads import threads_for

# Products of more features would take gigabytes.
_MOST_PRODUCTS = 16_384
# Of fewer images than (D / 100)^2, thousands of plain steps cost less than factoring D x D numbers.
_FEATURES_PER_ROOT_IMAGE = 100
# Products in float32 lose what is smaller than this share of the variance along an axis.
_LOST = 1e-4


@dataclasses.dataclass(frozen=True, eq=False)
class Standardised:
    """Features of mean 0 and variance 1, and what speeds fits on them up.

    Attributes:
        features: float64 [N, D]; in float32 the last steps of a fit would be lost in rounding.
        mean: [D] of what was standardised.
        scale: [D], its deviation; 1 for a constant feature.
        products: ``features^T features``, float32 [D, D], which guides a fit and does not decide
            where it ends; None where there are too many features.

    """

    features: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    products: NDArray[np.float32] | None


def standardise(embeddings: NDArray[Any]) -> Standardised:
    """Standardise float embeddings [N, D]; a constant feature is only moved to 0."""
    scaler = StandardScaler()
    features = scaler.fit_transform(embeddings.astype(np.float64))
    images, width = features.shape
    products = None
    if width <= min(_MOST_PRODUCTS, _FEATURES_PER_ROOT_IMAGE * images**0.5):
        rounded = features.astype(np.float32)
        with threads_for(2 * features.size * width):
            products = rounded.T @ rounded
    return Standardised(features, scaler.mean_, scaler.scale_, products)


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """A linear softmax classifier of standardised features.

    Attributes:
        weights: float64 [D, K].
        bias: float64 [K].
        converged: whether the gradient reached the tolerance.

    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    converged: bool


def fit_softmax_regression(
    standardised: Standardised,
    targets: NDArray[Any],
    *,
    regularisation: float,
    max_iterations: int,
    tolerance: float,
) -> Fit:
    """Minimise the mean cross-entropy plus ``|weights|^2 / (2 C N)`` by L-BFGS.

    Where all classes are as likely, the second derivative of the whole is ``X^T X / K + I / C``
    on each class's weights. L-BFGS therefore looks for ``L^T weights``, where ``L L^T`` is that
    matrix: it starts from a good guess of the curvature in all directions, and takes tens of
    steps, where features that are much alike can take over a thousand otherwise. The minimum is the
    same.

    Args:
        standardised: X, the features.
        targets: int [N], 0 to K - 1, each there, for at least two classes.
        regularisation: C, above 0.
        max_iterations: the most steps.
        tolerance: the largest entry of the gradient by the weights and the bias at which the fit
            counts as converged.

    """
    objective = _Objective(standardised, targets, regularisation)

    def stop(_: NDArray[np.float64]) -> None:
        # L-BFGS's own tolerance is by what it changes, not by the weights.
        if objective.steepest <= tolerance:
            raise StopIteration

    with threads_for(2 * standardised.features.size * objective.classes):
        result = scipy.optimize.minimize(
            objective,
            np.zeros((objective.width + 1) * objective.classes),
            jac=True,
            method="L-BFGS-B",
            callback=stop,
            options={
                "maxiter": max_iterations,
                "maxfun": 20 * max_iterations,
                "ftol": 0,
                "gtol": 0,
            },
        )
        objective(result.x)
    return Fit(objective.weights, objective.bias, converged=objective.steepest <= tolerance)


class _Objective:
    """The penalised sum of cross-entropies, as a function of what L-BFGS changes.

    Attributes:
        weights: of the last call, [D, K].
        bias: likewise, [K].
        steepest: likewise, the largest entry of the mean gradient by these.

    """

    def __init__(
        self, standardised: Standardised, targets: NDArray[Any], regularisation: float
    ) -> None:
        self._features = standardised.features
        self._targets = targets
        self._penalty = 1.0 / regularisation
        images, self.width = self._features.shape
        self.classes = int(targets.max()) + 1
        self._rows = np.arange(images)
        self._bias_scale = np.sqrt(images / self.classes)
        self._root = self._factor(standardised.products)
        self.weights = np.zeros((self.width, self.classes))
        self.bias = np.zeros(self.classes)
        self.steepest = np.inf

    def _factor(self, products: NDArray[np.float32] | None) -> NDArray[np.float64] | None:
        if products is None:
            return None
        curvature = products.astype(np.float64)
        curvature += curvature.T
        curvature /= 2 * self.classes
        floor = _LOST * len(self._rows) / self.classes
        curvature[np.diag_indices(self.width)] += self._penalty + floor
        root: NDArray[np.float64] = scipy.linalg.cholesky(curvature, lower=True, overwrite_a=True)
        return root

    def __call__(self, changed: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the value and its gradient."""
        changed = changed.reshape(self.width + 1, self.classes)
        self.weights = self._solve(changed[:-1], transposed=True)
        self.bias = changed[-1] / self._bias_scale
        logits = self._features @ self.weights + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        sums = exponentials.sum(axis=1)
        losses = np.log(sums) - logits[self._rows, self._targets]
        value = losses.sum() + self._penalty / 2 * np.square(self.weights).sum()

        errors = exponentials / sums[:, None]
        errors[self._rows, self._targets] -= 1
        by_weights = self._features.T @ errors + self._penalty * self.weights
        by_bias = errors.sum(axis=0)
        steepest = max(np.abs(by_weights).max(), np.abs(by_bias).max())
        self.steepest = float(steepest) / len(self._rows)
        gradient = [self._solve(by_weights, transposed=False), by_bias[None] / self._bias_scale]
        return float(value), np.concatenate(gradient).ravel()

    def _solve(self, right: NDArray[np.float64], *, transposed: bool) -> NDArray[np.float64]:
        if self._root is None:
            scaled: np.ndarray = right / self._bias_scale
            return scaled
        solved: NDArray[np.float64] = scipy.linalg.solve_triangular(
            self._root, right, lower=True, trans=int(transposed)
        )
        return solved
