import functools

import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture(params=["eager", "graph", "xla"])
def execute(request):
    """Every way to run a function of tensors: as it is, traced, or compiled."""
    return {
        "eager": lambda function: function,
        "graph": tf.function,
        "xla": functools.partial(tf.function, jit_compile=True),
    }[request.param]


@pytest.fixture
def keys():
    """Gives uint32 keys of as many images as asked for."""
    random = np.random.default_rng(11)
    return lambda count: tf.constant(random.integers(0, 2**32, count), tf.uint32)


@pytest.fixture
def images():
    """Gives float32 images in [0, 1] of the asked shape."""
    random = np.random.default_rng(12)
    return lambda *shape: random.random(shape, np.float32)
