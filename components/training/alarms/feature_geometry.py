"""Feature geometry: three signs of collapse, of the features of a few images.

``twofold.components.evaluation.geometry`` computes the same of embeddings of any number; tests hold
the two to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from twofold.components.training.method import to_unit_range

# As in the paper.
_RANKME_EPSILON = 1e-7
_TEMPERATURE = 2.0
_FEATURES, _PROJECTIONS = "feature_", "projection_"


def feature_geometry(features: NDArray[np.floating]) -> dict[str, float]:
    """Measures how far features are from having collapsed.

    Args:
        features: float [N, D], N >= 2.

    Returns:
        ``deviation``: mean over the features of the standard deviation of unit rows, times
        sqrt(D), in [0, 1]: 0 where all are one point, 1 where they spread evenly over the sphere
        (Chen & He, 2021, section 4.1).
        ``effective_rank``: exp of the entropy of the singular values' shares, from 1, one
        direction, to about min(N, D) (RankMe; Garrido et al., 2023, equations 1 and 2).
        ``uniformity``: log mean exp(-2 ||x - y||^2) over pairs of unit rows, 0 where all are one
        point, about -4 where they spread evenly (Wang & Isola, 2020, section 4.1.2).
        All are no numbers where a feature is none.

    """
    rows = np.asarray(features, np.float64)
    if not np.isfinite(rows).all():
        return dict.fromkeys(("deviation", "effective_rank", "uniformity"), np.nan)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units = rows / np.where(lengths > 0, lengths, 1.0)
    deviation = float(units.std(axis=0).mean() * np.sqrt(rows.shape[1]))
    # Products so small are many times as fast on one thread, and training has the others.
    with threadpool_limits(limits=1, user_api="blas"):
        similarities = units @ units.T
        rank = _effective_rank(rows)
    kernel = np.exp(-_TEMPERATURE * np.maximum(2 * (1 - similarities), 0.0))
    pairs = kernel.sum() - np.trace(kernel)
    uniformity = float(np.log(pairs / (len(rows) * (len(rows) - 1))))
    return {
        "deviation": deviation,
        "effective_rank": rank,
        "uniformity": min(0.0, uniformity),
    }


def _effective_rank(rows: NDArray[np.float64]) -> float:
    # Squared singular values, of the smaller product: a tenth of the time that they take.
    product = rows.T @ rows if rows.shape[1] < len(rows) else rows @ rows.T
    singular = np.sqrt(np.maximum(np.linalg.eigvalsh(product), 0.0))
    total = singular.sum()
    if total == 0:
        return 0.0
    shares = singular / total + _RANKME_EPSILON
    return float(np.exp(-(shares * np.log(shares)).sum()))


def build_geometry_check(
    models: Mapping[str, keras.Model], images: NDArray[np.uint8]
) -> Callable[[], Mapping[str, float]]:
    """Builds the measurement of networks as they are when it is called.

    Batch normalisation takes the statistics of these images, as it does in training: its moving
    averages lag behind in the first steps, in which even first weights look collapsed by them.

    Args:
        models: "encoder", [B, H, W, C] in [0, 1] to features [B, D], and maybe "projector",
            features to projections [B, P]; nothing that they hold is changed.
        images: uint8 [N, H, W, C], without views; N >= 2.

    Returns:
        A function that gives ``feature_geometry`` of the features, and of the projections by names
        that begin with ``projection_``.

    """
    held = tf.constant(images)
    encoder, projector = models["encoder"], models.get("projector")
    if projector is not None and not projector.variables:
        # It gives the features themselves.
        projector = None
    changed = [
        variable
        for model in (encoder, projector)
        if model is not None
        for variable in model.variables
        if not variable.trainable
    ]

    @tf.function(autograph=False)
    def embed() -> dict[str, tf.Tensor]:
        features = encoder(to_unit_range(held), training=True)
        embedded = {_FEATURES: features}
        if projector is not None:
            embedded[_PROJECTIONS] = projector(features, training=True)
        return {prefix: tf.cast(rows, tf.float32) for prefix, rows in embedded.items()}

    def measure() -> dict[str, float]:
        kept = [tf.identity(tf.convert_to_tensor(variable)) for variable in changed]
        try:
            embedded = {prefix: rows.numpy() for prefix, rows in embed().items()}
        finally:
            for variable, value in zip(changed, kept, strict=True):
                variable.assign(value)
        return {
            f"{prefix}{name}": value
            for prefix, rows in embedded.items()
            # A single number has no direction but its sign.
            if rows.shape[1] > 1
            for name, value in feature_geometry(rows).items()
        }

    return measure
