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

from twofold.components.training.method import to_unit_range

# As in the paper.
_RANKME_EPSILON = 1e-7
_TEMPERATURE = 2.0


def feature_geometry(features: NDArray[np.floating]) -> dict[str, float]:
    """Measures how far features are from having collapsed.

    Args:
        features: float [N, D], N >= 2.

    Returns:
        ``feature_deviation``: mean over the features of the standard deviation of unit rows, times
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
        return dict.fromkeys(("feature_deviation", "effective_rank", "uniformity"), np.nan)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units = rows / np.where(lengths > 0, lengths, 1.0)
    deviation = float(units.std(axis=0).mean() * np.sqrt(rows.shape[1]))
    distances = np.maximum(2 * (1 - units @ units.T), 0.0)
    kernel = np.exp(-_TEMPERATURE * distances)
    pairs = kernel.sum() - np.trace(kernel)
    uniformity = float(np.log(pairs / (len(rows) * (len(rows) - 1))))
    return {
        "feature_deviation": deviation,
        "effective_rank": _effective_rank(rows),
        "uniformity": min(0.0, uniformity),
    }


def _effective_rank(rows: NDArray[np.float64]) -> float:
    singular = np.linalg.svd(rows, compute_uv=False)
    total = singular.sum()
    if total == 0:
        return 0.0
    shares = singular / total + _RANKME_EPSILON
    return float(np.exp(-(shares * np.log(shares)).sum()))


def build_geometry_check(
    encoder: keras.Model, images: NDArray[np.uint8]
) -> Callable[[], Mapping[str, float]]:
    """Builds the measurement of an encoder as it is when it is called.

    Args:
        encoder: [B, H, W, C] in [0, 1] to features [B, D].
        images: uint8 [N, H, W, C], without views; N >= 2.

    Returns:
        A function that gives ``feature_geometry`` of the images, the encoder in inference mode.

    """
    held = tf.constant(images)

    @tf.function(autograph=False)
    def embed() -> tf.Tensor:
        return tf.cast(encoder(to_unit_range(held), training=False), tf.float32)

    return lambda: feature_geometry(embed().numpy())
