"""Runs a loss as training does: each replica on its own images, inside one graph."""

import numpy as np
import tensorflow as tf

from tests.strategies import strategy_of


def add_up(loss, arrays, replicas):
    """Adds up the shares of all replicas and joins their gradients.

    Args:
        loss: a function of this replica's rows of the arrays, that returns one share or several; a
            gradient is taken of the first.
        arrays: the rows of the global batch, split evenly over the replicas in order.
        replicas: 1, 2 or 4.

    Returns:
        (shares added up, gradients of the global batch by the float arrays).

    """
    strategy = strategy_of(replicas)

    def part(context, array):
        rows = len(array) // replicas
        start = context.replica_id_in_sync_group * rows
        return tf.constant(array[start : start + rows])

    def replica(*local):
        watched = [tensor for tensor in local if tensor.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            shares = loss(*local)
            shares = shares if isinstance(shares, tuple) else (shares,)
        return shares, tape.gradient(shares[0], watched, unconnected_gradients="zero")

    if replicas == 1:
        inputs = [tf.constant(array) for array in arrays]
    else:
        inputs = [
            strategy.experimental_distribute_values_from_function(
                lambda context, array=array: part(context, array)
            )
            for array in arrays
        ]
    shares, gradients = tf.function(lambda *inputs: strategy.run(replica, args=inputs))(*inputs)

    def parts(value):
        return [one.numpy() for one in strategy.experimental_local_results(value)]

    return (
        [np.sum(parts(share)) for share in shares],
        [np.concatenate(parts(gradient)) for gradient in gradients],
    )
