"""Validation after each epoch, with a lower rate on a plateau and an early end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from twofold.components.training.method import to_unit_range
from twofold.components.training.monitors import EarlyStopping, ReduceOnPlateau

_BATCH = 256


@dataclasses.dataclass(frozen=True)
class MonitoredMetric:
    """A monitor and the metric that it observes."""

    metric: str
    monitor: EarlyStopping | ReduceOnPlateau


@dataclasses.dataclass(frozen=True)
class EpochRules:
    """Measures after each epoch and acts on what it finds.

    Attributes:
        validate: measures the held-out images.
        plateau: lowers the learning rate, or None.
        early_stopping: ends the training, or None.
        keep_best: called when early stopping's metric is the best so far.

    """

    validate: Callable[[], Mapping[str, float]]
    plateau: MonitoredMetric | None = None
    early_stopping: MonitoredMetric | None = None
    keep_best: Callable[[], None] | None = None

    @property
    def stopped(self) -> bool:
        """Whether early stopping has ended the training."""
        monitored = self.early_stopping
        return monitored is not None and bool(monitored.monitor.stopped)

    def __call__(self) -> Mapping[str, float]:
        """Measures, and lets the monitors see it."""
        metrics = self.validate()
        if self.plateau is not None:
            self.plateau.monitor.observe(metrics[self.plateau.metric])
        if self.early_stopping is not None:
            decision = self.early_stopping.monitor.observe(metrics[self.early_stopping.metric])
            if decision.improved and self.keep_best is not None:
                self.keep_best()
        return metrics


def build_validation(
    encoder: keras.Model, head: keras.Model, images: np.ndarray, labels: np.ndarray, prefix: str
) -> Callable[[], dict[str, float]]:
    """Builds the measurement of a classifier on held-out images.

    Args:
        encoder: [B, H, W, C] in [0, 1] to features.
        head: features to logits [B, K].
        images: uint8 [N, H, W, C], may be memory-mapped.
        labels: int32 [N], -1 for none; at least one is known.
        prefix: of the metrics' names.

    Returns:
        A function that gives ``<prefix>/loss`` (mean cross-entropy) and ``<prefix>/accuracy`` of
        the labelled images, both networks in inference mode.

    """
    known = np.flatnonzero(labels >= 0)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, *images.shape[1:]], tf.uint8),
            tf.TensorSpec([None], tf.int32),
        ],
        autograph=False,
    )
    def measure(batch: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = encoder(to_unit_range(batch), training=False)
        logits = tf.cast(head(features, training=False), tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
        hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), targets)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(hits, tf.float32))

    def validate() -> dict[str, float]:
        loss = hits = 0.0
        for start in range(0, len(known), _BATCH):
            rows = known[start : start + _BATCH]
            parts = measure(tf.constant(images[rows]), tf.constant(labels[rows]))
            loss, hits = loss + float(parts[0]), hits + float(parts[1])
        return {f"{prefix}/loss": loss / len(known), f"{prefix}/accuracy": hits / len(known)}

    return validate
