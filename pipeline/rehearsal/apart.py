"""Process of its own for what a run tries out, with a folder that is thrown away."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import pickle
import pkgutil
import signal
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from twofold.components.errors import (
    EndedApartError,
    RehearsalError,
    SettingsError,
    TwofoldError,
    UntriedError,
    UsageError,
)
from twofold.components.training.resuming.interruption import StopRequest
from twofold.pipeline.config import RunConfig
from twofold.pipeline.runs.error_line import error_line
from twofold.pipeline.tensorflow_import import import_tensorflow

_LOOK_EVERY = 0.2
_PREFIX = "twofold-check-"
_OUTPUT = "output.txt"
# Of what a process wrote before it ended by itself.
_SHOWN_CHARACTERS = 300


def run_apart(
    work: str,
    config: RunConfig,
    *,
    stop: StopRequest,
    without_gpu: bool = False,
    **arguments: object,
) -> Any:
    """Does something with a configuration in a fresh process, whose output nobody sees.

    TensorFlow here is left as it is, and nothing of what the process made is kept.

    Args:
        work: a function of the configuration and a folder, as ``package.module:function``, which
            is imported there alone.
        config: what it is given.
        stop: ends the process when the run is to end.
        without_gpu: whether it is to leave the GPUs to others.
        **arguments: of the function.

    Returns:
        What the function returns.

    Raises:
        SettingsError: if the function raises one.
        RehearsalError: if it raises anything else.
        EndedApartError: if the process ends without an answer, as one without memory does.
        UntriedError: if there is no such process, or it cannot be told what to do.
        Interruption: if the run was told to end.

    """
    # What a program of the user's own registers is imported there, too.
    spawn = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        try:
            given = pickle.dumps((config, arguments))
            folder = Path(stack.enter_context(_temporary_folder()))
            receiver, sender = spawn.Pipe(duplex=False)
            process = spawn.Process(
                target=_answer, args=(work, given, folder, without_gpu, sender), daemon=True
            )
            process.start()
        except Exception as error:
            # What cannot be pickled is answered with several kinds.
            raise UntriedError(f"no process could be given the run: {error_line(error)}") from error
        sender.close()
        try:
            while not receiver.poll(_LOOK_EVERY):
                if stop.requested:
                    stop.end()
            answer = receiver.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            # Killed before its answer, or in the midst of it.
            process.join()
            raise EndedApartError(_end(process.exitcode, folder)) from None
        finally:
            _kill(process)
            receiver.close()
    if isinstance(answer, _Failure):
        raise answer.error(answer.reason)
    return answer


@dataclasses.dataclass(frozen=True)
class _Failure:
    reason: str
    error: type[TwofoldError]


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    # What a killed process of the trial's still writes there is no fault of the run.
    return tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)


def _kill(process: SpawnProcess) -> None:
    """Ends a process with those that it has begun, such as a proof's."""
    if process.pid is not None:
        # It may not have come to be the first of a group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _end(status: int | None, folder: Path) -> str:
    if status == -signal.SIGKILL:
        return "the process was killed, as one is that needs more memory than there is"
    output, written = folder / _OUTPUT, ""
    # It may have ended at its start, as where the user's own program cannot be imported there.
    if output.exists():
        written = output.read_text(encoding="utf-8", errors="replace")
    last = " ".join(written.split())[-_SHOWN_CHARACTERS:]
    return f"the process ended with status {status}" + (f": ... {last}" if last else "")


def _answer(work: str, given: bytes, folder: Path, without_gpu: bool, sender: Connection) -> None:
    # What ends the command ends this process, and what it begins, by the command's hand.
    os.setsid()
    output = os.open(folder / _OUTPUT, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(output, stream)
    # Of several workers, one tries out alone.
    os.environ.pop("TF_CONFIG", None)
    if without_gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    # Before anything imports it that what is given needs.
    import_tensorflow()
    answer: Any
    failure: type[TwofoldError] = UntriedError
    try:
        config, arguments = pickle.loads(given)
        failure = RehearsalError
        answer = pkgutil.resolve_name(work)(config, folder, **arguments)
    except Exception as error:
        # What cannot be read there, such as a module that was changed meanwhile, is no finding.
        if failure is RehearsalError and isinstance(error, SettingsError | UsageError):
            failure = SettingsError
        answer = _Failure(error_line(error), failure)
    sender.send(answer)
    sender.close()
