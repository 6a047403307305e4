"""Diagnosis of this machine, and what is missing for which feature."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator

from twofold.pipeline.tensorflow_import import import_tensorflow

_PACKAGES = (
    "twofold",
    "tensorflow",
    "keras",
    "tensorflow-datasets",
    "apache-beam",
    "tensorboard",
    "numpy",
    "scikit-learn",
)
# What an optional package is for, and how to get it.
_OPTIONAL = {
    "google-cloud-storage": "gs:// paths and DataflowRunner: pip install 'twofold[gcp]'",
    "distributed": "DaskRunner, data preparation on a cluster: pip install 'twofold[dask]'",
    "nvidia-cudnn-cu12": "training on NVIDIA GPUs: pip install 'twofold[gpu]'",
}


def examine() -> Iterator[tuple[str, str]]:
    """Yields (topic, finding) for versions, devices, memory, disk and optional features."""
    yield "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    for package in _PACKAGES:
        yield package, _version(package) or "missing: install twofold again with pip"
    import_tensorflow()
    import tensorflow as tf

    gpus = [device.name for device in tf.config.list_physical_devices("GPU")]
    yield "devices", f"{os.cpu_count()} CPU cores, " + (", ".join(gpus) if gpus else "no GPU")
    yield "bfloat16", _bfloat16()
    yield "memory", _memory()
    free = shutil.disk_usage(".").free
    yield "disk", f"{free / 2**30:.1f} GiB free in the current folder"
    for package, purpose in _OPTIONAL.items():
        version = _version(package)
        yield package, version if version else f"not installed; it is for {purpose}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _bfloat16() -> str:
    from twofold.components.training.precision import bfloat16_instructions

    found = bfloat16_instructions()
    if found is None:
        return "unknown on this system"
    if not found:
        return "the CPU has no instructions for it: training.precision=float32 is faster there"
    return f"the CPU has {', '.join(found)}"


def _memory() -> str:
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = (page * os.sysconf(name) for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return "unknown on this system"
    return f"{total / 2**30:.1f} GiB, {free / 2**30:.1f} GiB free"
