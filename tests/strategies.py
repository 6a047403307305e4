"""Distribution strategies over the logical CPU devices that conftest.py sets up."""

import functools

import tensorflow as tf

_KEYS_PER_STRATEGY = 100_000


@functools.cache
def strategy_of(replicas: int) -> tf.distribute.Strategy:
    """Returns the strategy for a number of replicas, one a process.

    Strategies number their groups of devices and their collectives from the same start; those of
    different sizes must be kept apart when they live in one process, as only tests do.
    """
    if replicas == 1:
        return tf.distribute.get_strategy()
    tf.distribute.MirroredStrategy._collective_key_base = replicas * _KEYS_PER_STRATEGY
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(replicas)])
