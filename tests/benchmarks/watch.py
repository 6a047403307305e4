"""One command in a process of its own, and what it and its own processes use of the machine."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks.inputs import REPOSITORY

_LOOK_SECONDS = 0.1
_WALK_SECONDS = 1.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Used:
    """What one process used, as it was last seen.

    Attributes:
        processor_seconds: that its threads computed.
        peak_bytes: resident memory at its peak, with what it maps of files.
        peak_own_bytes: the same without files, by looking ten times a second.

    """

    processor_seconds: float = 0.0
    peak_bytes: int = 0
    peak_own_bytes: int = 0


@dataclasses.dataclass(frozen=True)
class MonitoredMetric:
    """A command that ended well.

    Attributes:
        started: by `time.monotonic`, which processes of one machine share.
        seconds: from its start to its end.
        output: what it printed.
        main: of the process itself.
        workers: of the processes that it started, and these.
        peak_disk_bytes: of the folder that it wrote to, by looking once a second.

    """

    started: float
    seconds: float
    output: str
    main: Used
    workers: list[Used]
    peak_disk_bytes: int

    @property
    def processor_seconds(self) -> float:
        return self.main.processor_seconds + sum(one.processor_seconds for one in self.workers)


def watch(module: str, arguments: Sequence[str], folder: Path) -> MonitoredMetric:
    """Runs `python -m module`, which writes to a folder, and temporary files into it, too.

    Raises:
        RuntimeError: it failed.

    """
    temporary = folder / "temporary"
    temporary.mkdir()
    environment = {
        **os.environ,
        "TMPDIR": str(temporary),
        # Workers are started from elsewhere.
        "PYTHONPATH": str(REPOSITORY),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    used: dict[int, Used] = {}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=output,
            stderr=errors,
            cwd=REPOSITORY,
            env=environment,
        )
        disk, walked = 0, started
        while process.poll() is None:
            for number in _family(process.pid):
                _look(number, used.setdefault(number, Used()))
            if time.monotonic() - walked > _WALK_SECONDS:
                disk, walked = max(disk, disk_bytes(folder)), time.monotonic()
            time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - started
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{module} {' '.join(arguments)} failed:\n{errors.read()[-4000:]}")
        main = used.pop(process.pid)
        disk = max(disk, disk_bytes(folder))
        return MonitoredMetric(started, seconds, output.read(), main, list(used.values()), disk)


def disk_bytes(folder: Path) -> int:
    """What the files in a folder take of the disk, each once whatever its names."""
    found = {}
    for directory, _, names in os.walk(folder):
        for name in names:
            try:
                status = (Path(directory) / name).lstat()
            except FileNotFoundError:
                continue
            found[status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def _family(number: int) -> Iterator[int]:
    """A process and those that descend from it."""
    yield number
    try:
        tasks = list(Path(f"/proc/{number}/task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _look(number: int, used: Used) -> None:
    try:
        status = Path(f"/proc/{number}/status").read_text()
        # The command's name, in parentheses, may hold spaces.
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return
    memory = dict(line.split(":", 1) for line in status.splitlines())
    # What has ended and was not waited for has none.
    if "VmHWM" in memory:
        used.peak_bytes = max(used.peak_bytes, _kilobytes(memory["VmHWM"]))
        used.peak_own_bytes = max(used.peak_own_bytes, _kilobytes(memory["RssAnon"]))
    used.processor_seconds = (int(fields[11]) + int(fields[12])) / _TICKS


def _kilobytes(text: str) -> int:
    return int(text.split()[0]) * 1024
