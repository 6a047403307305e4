"""Every test process gets four logical CPU devices, and the same examples each time.

What is imported here is imported for every test: TensorFlow is configured where a test or what it
tests imports it, and not before.
"""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What the product asks for: see twofold.pipeline.tensorflow_import.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import wrapt

LOGICAL_DEVICES = 4


@wrapt.when_imported("tensorflow")
def _split_the_processor(tf):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * LOGICAL_DEVICES,
    )


@wrapt.when_imported("hypothesis")
def _repeat_examples(hypothesis):
    # No test depends on how fast the machine is, or on luck.
    hypothesis.settings.register_profile("twofold", deadline=None, derandomize=True)
    hypothesis.settings.load_profile("twofold")


def pytest_collection_finish():
    """Spares the garbage collector the modules: a million objects that live to the end."""
    gc.collect()
    gc.freeze()
