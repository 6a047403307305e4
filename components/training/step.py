"""One training step: forward, backward and update, the same on one device and on several."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from components import keyed_random
from components.methods.base import Method

Batch = Mapping[str, tf.Tensor]
TrainStep = Callable[[Batch], dict[str, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class OnlineProbe:
    """A linear classifier trained beside the encoder on its features, without touching it.

    Attributes:
        head: features [B, D] to logits [B, K].
        optimizer: the head's own.

    """

    head: keras.Model
    optimizer: keras.optimizers.Optimizer


@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that changes during training; the optimizer's ``iterations`` is the step."""

    models: Mapping[str, keras.Model]
    optimizer: keras.optimizers.Optimizer
    probe: OnlineProbe | None = None

    @property
    def variables(self) -> list[keras.Variable]:
        """The trained weights, in one order."""
        return [
            variable
            for name in sorted(self.models)
            for variable in self.models[name].trainable_variables
        ]

    @property
    def step(self) -> int:
        """How many updates were made."""
        return int(self.optimizer.iterations.numpy())

    def build(self) -> None:
        """Creates the optimizers' slots, which must exist before a checkpoint is restored."""
        self.optimizer.build(self.variables)
        if self.probe is not None:
            self.probe.optimizer.build(self.probe.head.trainable_variables)


def build_train_step(
    strategy: tf.distribute.Strategy, method: Method, state: TrainState, *, seed: int
) -> TrainStep:
    """Compiles a step over one global batch.

    Args:
        strategy: where the state lives.
        method: computes each replica's share of the loss.
        state: built in the strategy's scope.
        seed: of the views.

    Returns:
        A function of a (distributed) batch with ``image`` uint8 [B, H, W, C], ``label`` int32 [B]
        (-1 for none) and ``identity`` int64 [B]; it updates the state and returns the metrics of
        the global batch as scalars.

    """
    variables = state.variables

    def replica_step(batch: Batch) -> dict[str, tf.Tensor]:
        step = tf.convert_to_tensor(state.optimizer.iterations)
        keys = keyed_random.image_keys(seed, step, batch["identity"])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            output = method(batch["image"], keys)
        gradients = tape.gradient(output.loss, [variable.value for variable in variables])
        state.optimizer.apply(gradients, variables)
        features = tf.stop_gradient(output.features)
        metrics = {"loss": output.loss, **output.metrics, "feature_std": _feature_std(features)}
        if state.probe is not None:
            metrics |= _probe_step(state.probe, features, batch["label"])
        return {name: tf.cast(value, tf.float32) for name, value in metrics.items()}

    @tf.function
    def train_step(batch: Batch) -> dict[str, tf.Tensor]:
        shares = strategy.run(replica_step, args=(batch,))
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.SUM, share, axis=None)
            for name, share in shares.items()
        }

    return train_step


def _feature_std(features: tf.Tensor) -> tf.Tensor:
    """Returns this replica's share of the deviation of unit features (Chen & He, 2021, 4.1)."""
    normalised = tf.math.l2_normalize(features, axis=1)
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    return tf.reduce_mean(tf.math.reduce_std(normalised, axis=0)) / replicas


def _probe_step(probe: OnlineProbe, features: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
    """Updates the probe on the labelled images; returns its share of the loss and accuracy."""
    dtype = probe.head.compute_dtype
    labelled = tf.cast(labels >= 0, dtype)
    context = tf.distribute.get_replica_context()
    count = tf.maximum(
        tf.constant(1.0, dtype),
        context.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(labelled)),
    )
    targets = tf.maximum(labels, 0)
    variables = probe.head.trainable_variables
    with tf.GradientTape() as tape:
        logits = probe.head(features, training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
        loss = tf.reduce_sum(losses * labelled) / count
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    probe.optimizer.apply(gradients, variables)
    predictions = tf.argmax(logits, axis=1, output_type=tf.int32)
    hits = tf.reduce_sum(tf.cast(tf.equal(predictions, targets), dtype) * labelled)
    return {"online_probe/loss": loss, "online_probe/accuracy": hits / count}
