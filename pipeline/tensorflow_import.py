"""TensorFlow import: without its start-up messages, and with oneDNN's kernels."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import tempfile


def choose_kernels() -> None:
    """Asks for oneDNN's kernels on every x86 processor; to be called before TensorFlow's import.

    TensorFlow by itself uses them only on processors with AVX512_VNNI. A convolutional network
    trains 1 to 5 times as fast with them on one with AVX2, and both kinds of processor then compute
    by the same library. What the environment already says about TF_ENABLE_ONEDNN_OPTS stands.
    """
    if platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def import_tensorflow() -> None:
    """Imports TensorFlow with the kernels chosen, and its start-up messages kept from the terminal.

    TensorFlow's C++ part writes to the standard error stream before it reads its log level, so the
    stream itself is put aside meanwhile, if there is one. If the import fails, what was written is
    shown; if a signal ends the program meanwhile, it isn't.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # By itself it takes a GPU's whole memory at its start, whatever else runs there.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    choose_kernels()
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        standard_error = os.dup(2)
    except OSError:
        importlib.import_module("tensorflow")
        return
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
        except Exception:
            messages.seek(0)
            os.write(standard_error, messages.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
