"""Every test process gets four logical CPU devices, and the same examples each time.

What is imported here is imported for every test: TensorFlow is configured where a test or what it
tests imports it, and not before.
"""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What the product asks for: see twofold.pipeline.tensorflow_import.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# XLA translates and fuses as ever, and LLVM optimises less: compiled once and run once, a function
# takes half the time. `make test-long` leaves LLVM as it is.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

import pytest
import wrapt

# What collection makes are modules and tests, which live to the end: no garbage to look for.
gc.disable()

LOGICAL_DEVICES = 4
REPOSITORY = Path(__file__).resolve().parents[1]


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


def pytest_collection_modifyitems(items):
    """Begins with the longest file, which one process would else be at when others have ended."""
    items.sort(key=lambda item: item.path.name != "test_end_to_end.py")


def pytest_collection_finish():
    """Spares the garbage collector the modules: a million objects that live to the end.

    What is garbage in a test are graphs, a few large cycles, for which it need not look as often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session")
def shared_file() -> Callable[[str], Path]:
    """A function from a relative path to a file of the shared test data; skips where it is not."""

    def find(name: str) -> Path:
        root = Path(os.environ.get("TWOFOLD_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
        if not (root / name).exists():
            pytest.skip(f"{root / name} is missing; set TWOFOLD_SHARED_DATA to the shared data")
        return root / name

    return find


def pytest_unconfigure():
    """Waits for what processes were forked from, so that its time counts among the tests'."""
    if "tests.forked" in sys.modules:
        sys.modules["tests.forked"].stop()
