"""Weight averaging (EMA and SWA), and batch statistics that fit the averages."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import keras
import tensorflow as tf

from twofold.components import distribute
from twofold.components.errors import SettingsError
from twofold.components.training.step import Average


def _copies(variables: Sequence[keras.Variable]) -> list[keras.Variable]:
    return [
        keras.Variable(tf.convert_to_tensor(variable), dtype=variable.dtype, trainable=False)
        for variable in variables
    ]


def _assign_all(targets: Sequence[keras.Variable], averages: Sequence[keras.Variable]) -> None:
    expected = [tuple(average.shape) for average in averages]
    received = [tuple(target.shape) for target in targets]
    if expected != received:
        raise ValueError(
            f"the average does not fit the weights: expected shapes {expected}, received {received}"
        )
    for target, average in zip(targets, averages, strict=True):
        target.assign(tf.convert_to_tensor(average))


class ExponentialMovingAverage(tf.Module):
    """``average <- decay * average + (1 - decay) * weight`` after each update.

    The average starts at the weights after the first update, so that weights loaded into the
    networks before training count. Make it in the strategy's scope, and checkpoint it.

    Args:
        variables: the weights to follow.
        decay: in [0, 1).

    Raises:
        SettingsError: if ``decay`` is out of its range.

    """

    def __init__(self, variables: Sequence[keras.Variable], decay: float) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise SettingsError(f"decay must be at least 0 and below 1, received {decay}")
        self._followed = list(variables)
        self._decay = decay
        self.averages = _copies(self._followed)

    @property
    def ready(self) -> bool:
        """Whether there is an average; it starts with the weights themselves."""
        return True

    def update(self, step: tf.Tensor) -> None:
        """Takes in the weights after an update; in a replica's step or outside.

        Args:
            step: int64 scalar, updates made, 1 after the first.

        """
        values = []
        for average, variable in zip(self.averages, self._followed, strict=True):
            decay = tf.where(step > 1, tf.constant(self._decay, average.dtype), 0.0)
            values.append(
                decay * tf.convert_to_tensor(average) + (1 - decay) * tf.convert_to_tensor(variable)
            )
        distribute.assign(self.averages, values)

    def assign_to(self, variables: Sequence[keras.Variable]) -> None:
        """Gives weights, in the order of those followed, their averages; outside a step."""
        _assign_all(variables, self.averages)


class StochasticWeightAverage(tf.Module):
    """The mean of snapshots of the weights (Izmailov et al., 2018, algorithm 1).

    The first snapshot is taken after update ``start_step + 1``, then one every ``period`` updates,
    as tensorflow-addons counts them. Networks with batch normalisation need its statistics
    re-estimated with the averaged weights (``reestimate_batch_norm``). Make it in the strategy's
    scope, and checkpoint it.

    Args:
        variables: the weights to follow.
        start_step: updates before averaging starts, at least 0.
        period: updates between snapshots, at least 1.

    Raises:
        SettingsError: if an argument is out of its range.

    """

    def __init__(
        self, variables: Sequence[keras.Variable], start_step: int = 0, period: int = 10
    ) -> None:
        super().__init__()
        if start_step < 0:
            raise SettingsError(f"start_step must be at least 0, received {start_step}")
        if period < 1:
            raise SettingsError(f"period must be at least 1, received {period}")
        self._followed = list(variables)
        self._start_step = start_step
        self._period = period
        self.averages = _copies(self._followed)
        self.snapshots = keras.Variable(0, dtype="int64", trainable=False)

    @property
    def ready(self) -> bool:
        """Whether there is a snapshot."""
        return int(self.snapshots.numpy()) > 0

    def update(self, step: tf.Tensor) -> None:
        """Takes a snapshot if one is due; in a replica's step or outside.

        Args:
            step: int64 scalar, updates made, 1 after the first.

        """
        past = tf.cast(step, tf.int64) - 1 - self._start_step
        due = tf.logical_and(past >= 0, past % self._period == 0)
        count = tf.convert_to_tensor(self.snapshots)
        values = []
        for average, variable in zip(self.averages, self._followed, strict=True):
            before = tf.cast(count, average.dtype)
            mean = tf.convert_to_tensor(average)
            taken = (mean * before + tf.convert_to_tensor(variable)) / (before + 1)
            values.append(tf.where(due, taken, mean))
        distribute.assign(
            [*self.averages, self.snapshots], [*values, count + tf.cast(due, tf.int64)]
        )

    def assign_to(self, variables: Sequence[keras.Variable]) -> None:
        """Gives weights, in the order of those followed, their averages; outside a step.

        Raises:
            SettingsError: if no snapshot was taken yet.
            ValueError: if the weights are others.

        """
        if int(self.snapshots.numpy()) == 0:
            raise SettingsError(
                f"the average holds no snapshot: expected more than start_step={self._start_step} "
                f"updates before it is assigned"
            )
        _assign_all(variables, self.averages)


def reestimate_batch_norm(model: keras.Model, batches: Iterable[tf.Tensor]) -> None:
    """Replaces the moving statistics of batch normalisation by means over batches.

    Each becomes the plain mean of the batches' own means and (biased) variances, as the network
    computes them in training mode. Frozen layers keep theirs, and so does everything else that a
    forward pass in training mode would change. A network without such layers reads no batch.

    Args:
        model: images to anything.
        batches: inputs of ``model``, all of the same number of rows for an unweighted mean.

    Raises:
        ValueError: if there is no batch.

    """
    build_reestimation(model)(batches)


def build_reestimation(model: keras.Model) -> Callable[[Iterable[tf.Tensor]], None]:
    """Builds ``reestimate_batch_norm`` of a network, to be called more than once."""
    # Layers within layers of one's own make are in no public listing.
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    statistics = [moving for one in layers for moving in (one.moving_mean, one.moving_variance)]
    chosen = {id(moving) for moving in statistics}
    others = [
        variable
        for variable in model.variables
        if not variable.trainable and id(variable) not in chosen
    ]
    forward = tf.function(lambda images: model(images, training=True), autograph=False)

    def reestimate(batches: Iterable[tf.Tensor]) -> None:
        if not layers:
            return
        kept = [(variable, tf.convert_to_tensor(variable)) for variable in others]
        totals = [tf.zeros(moving.shape, tf.float64) for moving in statistics]
        count = 0
        momenta = [layer.momentum for layer in layers]
        try:
            for layer in layers:
                layer.momentum = 0.0
            for images in batches:
                forward(images)
                totals = [
                    total + tf.cast(tf.convert_to_tensor(moving), tf.float64)
                    for total, moving in zip(totals, statistics, strict=True)
                ]
                count += 1
        finally:
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum
            for variable, value in kept:
                variable.assign(value)
        if count == 0:
            raise ValueError("batch statistics need at least one batch, received none")
        for moving, total in zip(statistics, totals, strict=True):
            moving.assign(tf.cast(total / count, moving.dtype))

    return reestimate


@contextlib.contextmanager
def averaged(
    average: Average,
    variables: Sequence[keras.Variable],
    encoder: keras.Model,
    estimate_statistics: Callable[[], None],
) -> Iterator[None]:
    """Gives networks their averaged weights for a while, as training will end with them.

    Args:
        average: of the weights; until it holds something, these stay as they are.
        variables: the weights that it follows.
        encoder: whose batch statistics are estimated with the averaged weights.
        estimate_statistics: does so.

    """
    if not average.ready:
        yield
        return
    moving = [variable for variable in encoder.variables if not variable.trainable]
    kept = [(one, tf.identity(tf.convert_to_tensor(one))) for one in (*variables, *moving)]
    try:
        average.assign_to(variables)
        estimate_statistics()
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)
