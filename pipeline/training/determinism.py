"""Determinism of TensorFlow's ops, which a training asks for or does without."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.framework import config as framework

from twofold.components.training.settings import Deterministic


def is_deterministic(wanted: Deterministic) -> bool:
    """Tells whether a setting asks for ops that compute the same of the same every time.

    By itself it does so on CPUs, where that costs little, and not where there are GPUs, on which
    convolutions can be several times slower (https://github.com/tensorflow/tensorflow/issues/62100).
    """
    return wanted == "on" or (wanted == "auto" and not tf.config.list_physical_devices("GPU"))


def set_determinism(wanted: Deterministic) -> bool:
    """Switches deterministic ops on or off for the process, from the next op on.

    While they are on, a random op without a seed raises.

    Returns:
        Whether they are on.

    """
    on = is_deterministic(wanted)
    if on:
        tf.config.experimental.enable_op_determinism()
    else:
        # Not public: TensorFlow expects a process to choose once, and one here may train several.
        framework.disable_op_determinism()
    return on
