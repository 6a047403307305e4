"""Environment of the processes that prove and convert models."""

from __future__ import annotations

import os


def child_environment() -> dict[str, str]:
    """Gives this process's environment, quieter and without its GPUs.

    A training that runs beside them needs all of the GPU's memory, and TensorFlow takes what it
    sees at its start.
    """
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
