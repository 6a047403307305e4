"""Every test process gets four logical CPU devices, and the same examples each time."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What the product asks for: see twofold.pipeline.tensorflow_import.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import hypothesis
import tensorflow as tf

# No test depends on how fast the machine is, or on luck.
hypothesis.settings.register_profile("twofold", deadline=None, derandomize=True)
hypothesis.settings.load_profile("twofold")

LOGICAL_DEVICES = 4

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * LOGICAL_DEVICES,
)
