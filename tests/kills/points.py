"""Kill points: moments of a training, in a step or in the midst of a write, and what happens then.

SIGKILL leaves the files as they are at that moment, so a copy of the directory at that moment is
what it leaves, and training need not die for it.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.kills.rig import STEPS, Finished, Rig, told
from twofold.components.training.resuming.interruption import Interruption

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# Of Python's own, through which all goes to the disk.
_WRITES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}
# An audit hook stays for good, so that there is one, which asks this.
_watching: list[Callable[[str, tuple[object, ...]], None]] = []
# What a watcher does itself, in the thread that writes, is not watched.
_acting = threading.local()


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _WRITES or not _watching or getattr(_acting, "now", False):
        return
    _acting.now = True
    try:
        _watching[-1](event, arguments)
    finally:
        _acting.now = False


sys.addaudithook(_hook)


@contextlib.contextmanager
def at_writes(directory: Path, act: Callable[[int, bool], None]) -> Iterator[None]:
    """Calls a function before each change of a directory's files.

    Args:
        directory: whose files and folders are watched.
        act: told the number of the change, from 0, and whether it takes room on the disk.

    """
    done = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        path = str(arguments[0])
        if not path.startswith(str(directory)):
            return
        takes_room = event == "os.mkdir"
        if event == "open":
            mode = str(arguments[1] or "")
            takes_room = bool(set(mode) & set("wax+"))
            if not takes_room:
                return
        act(done, takes_room)
        done += 1

    _watching.append(watch)
    try:
        yield
    finally:
        _watching.pop()


def count_writes(rig: Rig, directory: Path) -> int:
    """Tells how many changes of files a whole training makes."""
    numbers = [0]
    with at_writes(directory, lambda number, takes_room: numbers.append(number + 1)):
        rig.train(directory)
    return max(numbers)


def killed_in_a_step(rig: Rig, directory: Path, random: np.random.Generator, writes: int) -> str:
    """SIGKILL after an update."""
    step = int(random.integers(1, STEPS + 1))

    def die(at: int) -> None:
        if at == step:
            raise _DeathError

    with contextlib.suppress(_DeathError):
        rig.train(directory, at_step=die)
    return f"after step {step}"


def killed_in_a_write(rig: Rig, directory: Path, random: np.random.Generator, writes: int) -> str:
    """SIGKILL just before a file is opened, renamed or removed."""
    number = int(random.integers(0, writes))
    work = directory.with_name(f"{directory.name}-alive")
    curves = rig.curves

    def copy(at: int, takes_room: bool) -> None:
        nonlocal curves
        if at == number:
            # Before the first one there is nothing to copy.
            if work.exists():
                shutil.copytree(work, directory)
            curves = rig.curves

    with at_writes(work, copy):
        rig.train(work)
    shutil.rmtree(work)
    rig.curves = curves
    directory.mkdir(exist_ok=True)
    return f"before write {number} of {writes}"


def told_to_end(rig: Rig, directory: Path, random: np.random.Generator, writes: int) -> str:
    """SIGTERM, SIGINT or SIGUSR1 in a step, which ends with a checkpoint."""
    step, number = int(random.integers(1, STEPS)), _SIGNALS[random.integers(len(_SIGNALS))]
    stop = told(number)
    stop._signal = None

    def tell(at: int) -> None:
        if at == step:
            stop._signal = number

    with contextlib.suppress(Interruption):
        rig.train(directory, at_step=tell, stop=stop)
    return f"{number.name} after step {step}"


def disk_full(rig: Rig, directory: Path, random: np.random.Generator, writes: int) -> str:
    """No more room on the disk from some write on."""
    number = int(random.integers(0, writes))

    def refuse(at: int, takes_room: bool) -> None:
        if at >= number and takes_room:
            raise OSError(errno.ENOSPC, "No space left on device")

    with contextlib.suppress(OSError), at_writes(directory, refuse):
        rig.train(directory)
    return f"from write {number} of {writes} on"


def damaged(rig: Rig, directory: Path, random: np.random.Generator, writes: int) -> str:
    """A file of the newest checkpoint cut short, changed in a byte, or gone, after a kill."""
    where = killed_in_a_step(rig, directory, random, writes)
    found = sorted(directory.glob("checkpoints/ckpt-*"), key=lambda one: int(one.name[5:]))
    if not found:
        return where
    files = sorted(path for path in found[-1].rglob("*") if path.is_file())
    file = files[random.integers(len(files))]
    content = bytearray(file.read_bytes())
    kind = ("cut short", "changed", "gone")[random.integers(3)]
    if kind == "gone":
        file.unlink()
    elif kind == "cut short" or not content:
        file.write_bytes(bytes(content[: random.integers(len(content) or 1)]))
    else:
        content[random.integers(len(content))] ^= 1 << int(random.integers(8))
        file.write_bytes(bytes(content))
    return f"{where}, {file.relative_to(directory)} {kind}"


class _DeathError(BaseException):
    """Stands for the end of a process."""


KINDS: dict[str, Callable[[Rig, Path, np.random.Generator, int], str]] = {
    "killed in a step": killed_in_a_step,
    "killed in a write": killed_in_a_write,
    "told to end": told_to_end,
    "disk full": disk_full,
    "damaged checkpoint": damaged,
}


def survives(
    rig: Rig,
    kind: str,
    directory: Path,
    random: np.random.Generator,
    writes: int,
    whole: Finished,
) -> str | None:
    """Lets something happen to a training, goes on with it, and compares it with a whole one.

    Returns:
        What is wrong and at which point; None where all is the same bit for bit.

    """
    rig.curves = {}
    where = KINDS[kind](rig, directory, random, writes)
    try:
        resumed = rig.train(directory)
    except Exception as error:
        return f"{where}: {type(error).__name__}: {error}"
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return None if resumed.equals(whole) else f"{where}: what was resumed differs"
