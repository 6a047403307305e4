"""Isolated interpreter: runs a script that cannot import some packages.

``python -I proof_isolated.py keras,components SCRIPT ARGUMENT...``, where ``-I`` leaves out the
current directory, ``PYTHONPATH`` and the user's packages. What the script then shows is shown
without these packages: importing one, or a part of one, is a ModuleNotFoundError.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence


def block(packages: Sequence[str]) -> None:
    """Makes packages impossible to import, and not to be found, in this interpreter."""
    for package in packages:
        # What Python's import system provides for this; TensorFlow asks whether Keras can be found,
        # and takes no for an answer, but no exception.
        sys.modules[package] = None  # type: ignore[assignment]


if __name__ == "__main__":
    block(sys.argv[1].split(","))
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
