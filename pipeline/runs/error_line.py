"""Error messages of the command line: one line for each exception.

A ``TwofoldError`` is shown as what it says. An ``OSError``, or a lack of memory, is the machine's,
and shown with the path. Anything else is a fault of the program, shown with its type, its message
and the line of Twofold that it came from.
"""

from __future__ import annotations

import os
import traceback
from pathlib import Path

from twofold.components.errors import TwofoldError

# The folder that holds the packages: of a checkout, tests and an environment beside them.
_ROOT = Path(__file__).parents[2]
_PACKAGES = frozenset({"components", "pipeline", "serving"})
# TensorFlow's messages can hold a whole graph, and Beam's the traceback of a worker.
_START, _END = 300, 200


def error_line(error: BaseException) -> str:
    """Describes an exception to the user of a command, in one line."""
    if isinstance(error, OSError):
        return _of_the_system(error)
    message = " ".join(str(error).split())
    if isinstance(error, TwofoldError):
        return message or type(error).__name__
    if len(message) > _START + _END:
        message = f"{message[:_START]} ... {message[-_END:]}"
    if _is_out_of_memory(error):
        return f"out of memory: {message or type(error).__name__}"
    fault = f"{type(error).__name__}: {message}" if message else type(error).__name__
    where = _origin(error)
    return f"internal error: {fault}{where}; run again with --debug for the traceback"


def _of_the_system(error: OSError) -> str:
    # The number of a system error says nothing that the text does not.
    cause = " ".join((error.strerror or str(error)).split()) or type(error).__name__
    paths = [os.fsdecode(path) for path in (error.filename, error.filename2) if path]
    return ": ".join([" and ".join(paths), cause] if paths else [cause])


def _is_out_of_memory(error: BaseException) -> bool:
    # By its name: a command that never needed TensorFlow does not import it to fail.
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def _origin(error: BaseException) -> str:
    """The last line of Twofold's code that the exception went through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in _PACKAGES:
            return f" (at twofold/{path.relative_to(_ROOT).as_posix()}:{frame.lineno})"
    return ""
