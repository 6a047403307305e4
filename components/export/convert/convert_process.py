"""Converter processes: a converter or a runtime may crash or write to the terminal there.

``run`` starts this module with the arguments ``VERB MODULE FOLDER FILE [PRECISION]``.
The module is one of those beside this one that know a runtime:

* ``write(saved_model, file, precision, calibration)`` converts a SavedModel.
* ``foreign_operations(file)`` names what the runtime cannot do by itself.
* ``answer(file, images)`` runs the file, without TensorFlow where the runtime does without.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twofold.components.errors import ConversionError
from twofold.components.export.child_environment import child_environment

# What the folder holds beside the file.
SAVED_MODEL = "saved_model"
_CALIBRATION, _IMAGES, _ANSWERS = "calibration.npy", "images.npy", "answers"
_CAUSE = "cause.json"
_BATCH = 64


def require(*distributions: str) -> None:
    """Looks whether the packages that a conversion needs are installed.

    Raises:
        ConversionError: that names what is missing, and how to install it.

    """
    missing = [name for name in distributions if not _is_installed(name)]
    if missing:
        raise ConversionError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            f"pip install 'twofold[runtimes]'"
        )


def _is_installed(distribution: str) -> bool:
    # What is looked for is what is imported: a half-removed package leaves its metadata behind.
    return importlib.util.find_spec(distribution.replace("-", "_")) is not None


def write(
    module: str, folder: Path, file: str, precision: str, calibration: np.ndarray | None
) -> None:
    """Converts the folder's SavedModel to a file there, and looks for foreign operations.

    Args:
        module: full name of one that knows the runtime.
        folder: where ``SAVED_MODEL`` is and the file goes.
        file: its name.
        precision: "float32", "dynamic" or "int8".
        calibration: uint8 [N, H, W, C], which "int8" needs; or None.

    Raises:
        ConversionError: if the converter fails or crashes, or leaves operations that the runtime
            does not have.

    """
    (folder / _CALIBRATION).unlink(missing_ok=True)
    if calibration is not None:
        np.save(folder / _CALIBRATION, calibration)
    _run("write", module, folder, file, precision)


def answer(module: str, folder: Path, file: str, images: np.ndarray) -> dict[str, np.ndarray]:
    """Runs a file in the folder on images, uint8 [N, H, W, C], the first of them alone.

    Returns:
        The outputs by name, each [N, ...].

    Raises:
        ConversionError: if the runtime cannot run it.

    """
    np.save(folder / _IMAGES, images)
    _run("answer", module, folder, file)
    return {
        path.stem: np.load(path, allow_pickle=False) for path in (folder / _ANSWERS).glob("*.npy")
    }


def _run(verb: str, module: str, folder: Path, file: str, *options: str) -> None:
    cause = folder / _CAUSE
    cause.unlink(missing_ok=True)
    finished = subprocess.run(
        [sys.executable, "-P", "-m", __name__, verb, module, str(folder), file, *options],
        capture_output=True,
        text=True,
        errors="replace",
        env=child_environment(),
        check=False,
    )
    if finished.returncode == 0:
        return
    doing = {"write": "cannot be converted", "answer": "does not run"}[verb]
    if cause.exists():
        text = str(json.loads(cause.read_text(encoding="utf-8")))
    else:
        last = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        text = f"{_ended_by(finished.returncode)}: {last}"
    raise ConversionError(f"{file} {doing}: {text}")


def _ended_by(status: int) -> str:
    if status < 0:
        return f"the process was ended by {signal.Signals(-status).name}"
    return f"the process ended with status {status}"


def foreign_text(names: Sequence[str]) -> str:
    """Says which operations stand in the way."""
    return f"it needs operations that are not the runtime's own: {', '.join(names)}"


def one_line(error: Exception) -> str:
    """Tells an error's kind and message in at most 400 characters of one line."""
    text = " ".join(str(error).split())
    if not isinstance(error, ConversionError):
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= 400 else f"{text[:397]}..."


def _main(verb: str, module: str, directory: str, file: str, *options: str) -> int:
    folder = Path(directory)
    try:
        runtime = importlib.import_module(module)
        if verb == "write":
            path = folder / _CALIBRATION
            calibration = np.load(path, allow_pickle=False) if path.exists() else None
            runtime.write(folder / SAVED_MODEL, folder / file, *options, calibration)
            foreign = runtime.foreign_operations(folder / file)
            if foreign:
                raise ConversionError(foreign_text(foreign))
        else:
            images = np.load(folder / _IMAGES, allow_pickle=False)
            stops = [0, *range(1, len(images), _BATCH), len(images)]
            # A batch size that was fixed in conversion shows when it changes.
            parts = [
                runtime.answer(folder / file, images[start:stop])
                for start, stop in itertools.pairwise(stops)
            ]
            answers = folder / _ANSWERS
            shutil.rmtree(answers, ignore_errors=True)
            answers.mkdir()
            for name in parts[0]:
                np.save(answers / f"{name}.npy", np.concatenate([part[name] for part in parts]))
    except Exception as error:
        (folder / _CAUSE).write_text(json.dumps(one_line(error)), encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
