"""Distribution strategies: one device, several GPUs, several machines, or logical CPUs."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from twofold.components.cluster import read_cluster
from twofold.components.errors import SettingsError


def make_strategy(replicas: int | None = None) -> tf.distribute.Strategy:
    """Chooses the distribution strategy.

    Several machines train one model when the environment variable ``TF_CONFIG`` names several
    workers; every worker runs the same program and ends with the same weights. Each takes part with
    all of its GPUs, or with its CPU where it has none. The call waits until all workers have made
    it, and must come before TensorFlow's first computation. From then on TensorFlow catches
    SIGTERM; a handler has to be installed again (``StopRequest.listen_again``).

    Args:
        replicas: None for all GPUs (the CPU when there is none); a number for that many GPUs, or,
            on a machine without GPUs, that many logical CPU devices. With several workers, None or
            the number over all of them.

    Returns:
        A MultiWorkerMirroredStrategy for several workers, a MirroredStrategy for several devices,
        the default strategy for one.

    Raises:
        SettingsError: if there are fewer GPUs than requested replicas, TensorFlow already runs with
            another number of logical CPUs, the workers have another number of devices, or
            ``TF_CONFIG`` cannot be read.

    """
    if replicas is not None and replicas < 1:
        raise SettingsError(f"training.replicas must be at least 1, received {replicas}")
    if count_workers() > 1:
        return _join_workers(replicas)
    gpus = tf.config.list_physical_devices("GPU")
    count = replicas if replicas is not None else max(1, len(gpus))
    if gpus:
        if count > len(gpus):
            raise SettingsError(f"training.replicas={count} needs {count} GPUs, found {len(gpus)}")
        devices = [f"GPU:{index}" for index in range(count)]
    else:
        _split_cpu(count)
        devices = [f"CPU:{index}" for index in range(count)]
    if count == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(devices)


def count_workers() -> int:
    """Returns how many workers ``TF_CONFIG`` names; the chief is one of them."""
    return len(read_cluster().addresses)


def _join_workers(replicas: int | None) -> tf.distribute.Strategy:
    # Between CPUs there are rings alone; with GPUs TensorFlow chooses between these and NCCL.
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=kinds.AUTO if on_gpu else kinds.RING
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    found = strategy.num_replicas_in_sync
    if replicas not in (None, found):
        raise SettingsError(
            f"training.replicas={replicas}, but the workers of TF_CONFIG have {found} devices"
        )
    return strategy


def _split_cpu(count: int) -> None:
    if count == 1:
        return
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError as error:
        # TensorFlow is already running: fine, if it was given enough devices before.
        present = len(tf.config.list_logical_devices("CPU"))
        if present < count:
            raise SettingsError(
                f"training.replicas={count} needs {count} logical CPU devices, but TensorFlow "
                f"already runs with {present}: set the number before its first use"
            ) from error


def replica_count() -> int:
    """Returns how many replicas take part in the step; 1 outside a strategy."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else int(context.num_replicas_in_sync)


def gather(tensor: tf.Tensor, axis: int) -> tf.Tensor:
    """Joins a tensor of every replica along an axis, in order of the replicas; differentiable."""
    replicas = replica_count()
    if replicas == 1:
        return tensor
    if not exchanges_in_graph():
        return tf.distribute.get_replica_context().all_gather(tensor, axis=axis)
    # XLA compiles sums between GPUs, and nothing else: of this and, for the others, zeros.
    place = tf.one_hot(first_row(1), replicas, dtype=tensor.dtype)
    parts = sum_over_replicas(tf.tensordot(place, tensor, axes=0))
    return tf.concat(tf.unstack(parts, num=replicas), axis=axis)


def exchanges_in_graph() -> bool:
    """Tells whether each replica exchanges by operations of its own graph, as XLA on GPUs needs it.

    Elsewhere TensorFlow lets the replicas meet while their graphs are made.
    """
    return bool(tf.__internal__.distribute.strategy_supports_no_merge_call())


def sum_over_replicas(tensor: tf.Tensor) -> tf.Tensor:
    """Adds a tensor up over the replicas; differentiable, the gradient is summed likewise."""
    if replica_count() == 1:
        return tensor
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensor)


def first_row(local_rows: tf.Tensor) -> tf.Tensor:
    """Returns where this replica's rows begin in the global batch, int32; replicas have as many."""
    if replica_count() == 1:
        return tf.constant(0)
    context = tf.distribute.get_replica_context()
    return tf.cast(context.replica_id_in_sync_group, tf.int32) * local_rows


def assign(variables: Sequence[keras.Variable], values: Sequence[tf.Tensor]) -> None:
    """Gives variables new values, from inside or outside a replica's step.

    A mirrored variable refuses to be assigned by one replica alone; here each replica's copy takes
    that replica's value, which must be the same everywhere.

    Args:
        variables: to change.
        values: one tensor of the same shape for each.

    """
    raw = [variable.value for variable in variables]

    def update(strategy: tf.distribute.Strategy, values: Sequence[tf.Tensor]) -> None:
        for variable, value in zip(raw, values, strict=True):
            strategy.extended.update(
                variable, lambda one, new: one.assign(new), args=(value,), group=False
            )

    if tf.distribute.in_cross_replica_context():
        update(tf.distribute.get_strategy(), values)
        return
    tf.__internal__.distribute.interim.maybe_merge_call(
        update, tf.distribute.get_strategy(), list(values)
    )
