"""Batch normalisation over the global batch, in one place for encoders, heads and decoders."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import tensorflow as tf

# TensorFlow says nowhere else whether XLA compiles what is traced.
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

from twofold.components import distribute
from twofold.components.encoders.layers.blocks import in_block

_FUSED_DTYPES = (tf.float32, tf.bfloat16, tf.float16)


def batch_normalization(
    name: str,
    *,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    affine: bool = True,
    block: str | None = None,
) -> BatchNormalization:
    """Makes a batch normalisation whose statistics run over the global batch on any replicas.

    Args:
        name: name of the layer.
        momentum: share of the moving statistics that an update keeps, in [0, 1]: 0.9 in most
            implementations, 0.99 in Keras's default.
        epsilon: added to the variance, above 0: 1e-5 in most implementations, 1e-3 in Keras's
            default.
        affine: whether it has a scale and an offset.
        block: see ``in_block``; its own name by default.

    """
    layer = BatchNormalization(
        momentum=momentum,
        epsilon=epsilon,
        center=affine,
        scale=affine,
        synchronized=True,
        name=name,
    )
    return in_block(block or name, layer)


# Into how many parts a global batch is cut whose statistics are apart.
_GROUPS: contextvars.ContextVar[int] = contextvars.ContextVar("groups", default=1)


@contextlib.contextmanager
def grouped_statistics(groups: int) -> Iterator[None]:
    """Lets networks that are called within normalise by the statistics of a part of the batch.

    As on so many devices that do not synchronise theirs (He et al., 2020, section 3.3), however
    many replicas there are. The parts are equal and follow each other in the global batch; moving
    statistics take the mean of the parts'. Enter it in a replica's step, whose thread does not know
    what was entered outside.

    Args:
        groups: how many parts, a multiple of the replicas, of which each has as many images; 1 for
            the statistics of the global batch.

    """
    token = _GROUPS.set(groups)
    try:
        yield
    finally:
        _GROUPS.reset(token)


NormalizationMaker = Callable[..., "BatchNormalization"]


def batch_normalizations(momentum: float, epsilon: float) -> NormalizationMaker:
    """Returns ``batch_normalization`` with a network's momentum and epsilon."""
    return functools.partial(batch_normalization, momentum=momentum, epsilon=epsilon)


class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation of the last axis with precise statistics of the global batch.

    Keras's own takes ``E[x^2] - E[x]^2`` in float32 when it is synchronised, which at a mean of 100
    deviations leaves normalised values wrong by 0.1, and at 1,000 leaves nothing of them. This one
    sums squared deviations from the mean (Chan et al., 1983, "Algorithms for Computing the Sample
    Variance", eq. 1.7) and merges those of the replicas by their eq. 2.1, in one all-reduce; the
    gradient takes another. On one replica, maps go through TensorFlow's fused kernel, unless XLA
    compiles the step, which would make ``E[x^2] - E[x]^2`` of it.

    Statistics are float32 or wider, whatever the compute dtype. The moving variance follows the
    biased variance of the batch, as everywhere in Keras (PyTorch's follows the unbiased one).
    Weights, their names, what it does outside training and the name of the class, by which Keras
    finds weights in its files, are Keras's.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Normalises a batch [..., C] by its own statistics in training, else by the moving ones.

        A layer with ``trainable=False`` uses the moving ones in training, too.
        """
        if not (training and self.trainable):
            return super().call(inputs, training=False)
        dtype = tf.as_dtype(keras.backend.result_type(inputs.dtype, "float32"))
        channels = inputs.shape[-1]
        scale = tf.cast(self.gamma, dtype) if self.scale else tf.ones(channels, dtype)
        offset = tf.cast(self.beta, dtype) if self.center else tf.zeros(channels, dtype)
        normalise = _fused if _can_be_fused(inputs) else _merged
        if _GROUPS.get() > 1:
            normalise = _of_groups
        outputs, mean, variance = normalise(inputs, scale, offset, self.epsilon)
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(tf.cast(moving, dtype) * self.momentum + new * (1.0 - self.momentum))
        return tf.cast(outputs, self.compute_dtype)


def as_keras_layer(layer: BatchNormalization) -> keras.layers.BatchNormalization:
    """Makes the same layer, not built yet, of Keras alone, for those who have no Twofold.

    Its statistics are those of one replica, which Keras computes precisely.
    """
    config = layer.get_config() | {"synchronized": False}
    return keras.layers.BatchNormalization.from_config(config)


def _can_be_fused(inputs: tf.Tensor) -> bool:
    return (
        distribute.replica_count() == 1
        and inputs.dtype in _FUSED_DTYPES
        and len(inputs.shape) in (2, 4)
        and not GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
    )


def _fused(
    inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns what ``_merged`` returns, by the fused kernel."""
    maps = inputs
    if len(inputs.shape) == 2:
        # In half precision the kernel takes fifty times as long for features as for maps.
        maps = tf.cast(inputs[:, tf.newaxis, tf.newaxis, :], tf.float32)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=maps,
        scale=scale,
        offset=offset,
        mean=tf.zeros(0),
        variance=tf.zeros(0),
        epsilon=epsilon,
        is_training=True,
    )
    count = _count(inputs, variance.dtype)
    # The kernel gives the unbiased variance.
    variance *= (count - 1) / count
    return tf.reshape(outputs, tf.shape(inputs)), mean, variance


class _Moments(NamedTuple):
    """Moments of the global batch; the mean is ``reference + shift``, kept apart for precision."""

    count: tf.Tensor
    reference: tf.Tensor
    shift: tf.Tensor
    variance: tf.Tensor


def _of_groups(
    inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns what ``_merged`` returns where parts of the batch have statistics of their own.

    The mean and the variance are the means of the parts'.
    """
    replicas = distribute.replica_count()
    groups, shape = _GROUPS.get() // replicas, tf.shape(inputs)
    parts = tf.reshape(
        tf.cast(inputs, scale.dtype), tf.concat([[groups, shape[0] // groups], shape[1:]], axis=0)
    )
    axes = list(range(1, len(inputs.shape)))
    mean = tf.reduce_mean(parts, axes, keepdims=True)
    centred = parts - mean
    variance = tf.reduce_mean(tf.square(centred), axes, keepdims=True)
    outputs = centred * (scale * tf.math.rsqrt(variance + epsilon)) + offset
    moments = tf.stack([tf.reshape(one, [groups, -1]) for one in (mean, variance)])
    moments = distribute.sum_over_replicas(tf.reduce_mean(tf.stop_gradient(moments), axis=1))
    means, variances = tf.unstack(moments / replicas)
    return tf.reshape(outputs, shape), means, variances


def _merged(
    inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the normalised values, the mean and the biased variance [C] of the global batch.

    The first have the dtype of ``scale``, which is that of the statistics, and are precise however
    far the mean lies from 0.
    """
    moments = _moments(tf.stop_gradient(tf.cast(inputs, scale.dtype)))
    deviation = tf.sqrt(moments.variance + epsilon)

    @tf.custom_gradient
    def normalise(
        x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]]:
        slope = scale / deviation
        values = (x - moments.reference) * slope + (offset - moments.shift * slope)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            # Ioffe & Szegedy (2015), section 3, with sums over the global batch. Those of scale
            # and offset are this replica's, since gradients of weights are added up later.
            axes = _all_but_last(x)
            standard = ((x - moments.reference) - moments.shift) / deviation
            to_offset = tf.reduce_sum(upstream, axes)
            to_scale = tf.reduce_sum(upstream * standard, axes)
            total = distribute.sum_over_replicas(tf.stack([to_offset, to_scale]))
            level, tilt = tf.unstack(total / moments.count)
            return slope * (upstream - level - standard * tilt), to_scale, to_offset

        return values, gradient

    outputs = normalise(tf.cast(inputs, scale.dtype), scale, offset)
    return outputs, moments.reference + moments.shift, moments.variance


def _moments(x: tf.Tensor) -> _Moments:
    """Takes the moments over all axes but the last, and over the replicas."""
    axes = _all_but_last(x)
    count = _count(x, x.dtype)
    estimate = tf.math.divide_no_nan(tf.reduce_sum(x, axes), count)
    deviations = x - estimate
    # What rounding has left out of the first estimate.
    error = tf.math.divide_no_nan(tf.reduce_sum(deviations, axes), count)
    squares = tf.reduce_sum(tf.square(deviations), axes) - count * tf.square(error)
    counts = tf.fill(tf.shape(estimate), count)
    # [4, R, C]
    counts, estimates, errors, squares = tf.unstack(
        _from_replicas(tf.stack([counts, estimate, error, squares])), axis=1
    )
    total = tf.reduce_sum(counts, axis=0)
    reference = estimates[0]
    shifts = (estimates - reference) + errors
    shift = tf.reduce_sum(counts * shifts, axis=0) / total
    squares = tf.reduce_sum(squares + counts * tf.square(shifts - shift), axis=0)
    return _Moments(total, reference, shift, tf.maximum(squares / total, 0))


def _from_replicas(tensor: tf.Tensor) -> tf.Tensor:
    """Stacks a tensor of every replica along a new first axis by one all-reduce."""
    replicas = distribute.replica_count()
    if replicas == 1:
        return tensor[tf.newaxis]
    place = tf.one_hot(distribute.first_row(1), replicas, dtype=tensor.dtype)
    return distribute.sum_over_replicas(tf.tensordot(place, tensor, axes=0))


def _all_but_last(x: tf.Tensor) -> list[int]:
    return list(range(len(x.shape) - 1))


def _count(x: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Returns how many values each channel has."""
    return tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), dtype)
