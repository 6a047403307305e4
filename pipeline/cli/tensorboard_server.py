"""TensorBoard's server over the runs of Twofold, under their own names."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tensorboard.compat.proto import event_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from twofold.components.errors import RunDirectoryError, UsageError
from twofold.pipeline.runs.record_format import RECORD, parse_record
from twofold.pipeline.runs.run_directory import SUPERSEDED
from twofold.pipeline.runs.run_hyperparameters import compared
from twofold.pipeline.runs.run_record import RunRecord

# The folder of a run, and what is said of it behind the run's name.
FOLDERS = {
    "tensorboard": "",
    "tensorboard-teacher": " (teacher)",
    "tensorboard-finetune": " (fine-tuned)",
    "tensorboard-finetune-scratch": " (from scratch)",
}
# What TensorBoard lists like a run, which holds by what runs are compared.
_COMPARISON = "hyperparameters"
# Seconds from one look for new runs to the next.
_LOOK_EVERY = 5.0
# Folders in which profiles are looked for, but not behind a link.
_PROFILES = ("plugins", "profile")
# A run, and the members of a study.
_DEPTHS = ("*", "*/*")


def serve(
    runs: Sequence[Path], workdir: Path, host: str, port: int | None, say: Callable[[str], None]
) -> None:
    """Serves TensorBoard until it is interrupted; runs that begin meanwhile appear, too.

    By what runs are compared, in the tab of hyperparameters, is that of the runs of its start.

    Args:
        runs: directories of runs and of studies; empty for those of the working directory.
        workdir: where runs are kept.
        host: name or address to listen on.
        port: to listen on; None for 6006 or one of the next that are free.
        say: told where it is.

    Raises:
        UsageError: if a directory holds no run, or the port is taken.

    """
    # It takes a second.
    from tensorboard import program

    with tempfile.TemporaryDirectory(prefix="twofold-tensorboard-") as folder:
        root = Path(folder)
        found = find_runs(runs, workdir)
        link_runs(found, root)
        _write_comparison(found, root)
        server = program.TensorBoard()
        arguments = ["--logdir", folder, "--host", host, "--reload_multifile", "true"]
        arguments += [] if port is None else ["--port", str(port)]
        with _quiet_port():
            server.configure(["tensorboard", *arguments])
            address = server.launch()
        say(f"TensorBoard: {address} shows {', '.join(sorted(found))}; Ctrl+C ends it")
        # So that the folder of links goes, too.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(_LOOK_EVERY)
                now = find_runs(runs, workdir)
                link_runs(now, root)
                if later := sorted(now.keys() - found.keys()):
                    say(
                        f"{', '.join(later)} began: shown, and compared under HParams once this "
                        f"command is started again"
                    )
                    found |= now


def _write_comparison(found: dict[str, Path], root: Path) -> None:
    """Writes by what TensorBoard compares the runs, where it looks for that."""
    records = []
    for path in found.values():
        with contextlib.suppress(RunDirectoryError, OSError):
            records.append(RunRecord(path, parse_record(path / RECORD)))
    if records:
        writer = EventFileWriter(str(root / _COMPARISON))
        writer.add_event(event_pb2.Event(step=0, wall_time=time.time(), summary=compared(records)))
        writer.close()


@contextlib.contextmanager
def _quiet_port() -> Iterator[None]:
    """Turns TensorBoard's refusal into one of ours."""
    from tensorboard.program import TensorBoardServerException

    try:
        yield
    except TensorBoardServerException as error:
        raise UsageError(f"TensorBoard does not start: {' '.join(error.msg.split())}") from None


def find_runs(runs: Sequence[Path], workdir: Path) -> dict[str, Path]:
    """Finds runs, and the members of studies, by names that tell them apart.

    Args:
        runs: directories of runs and of studies; empty for those of the working directory.
        workdir: where runs are kept.

    Raises:
        UsageError: if a directory, or the working directory, holds no run.

    """
    if not runs:
        paths = [path.parent for depth in _DEPTHS for path in workdir.glob(f"{depth}/{RECORD}")]
        if not paths:
            raise UsageError(
                f"no run in {workdir}: expected the directory of a run, as in twofold tensorboard "
                f"twofold-runs/quickstart, or --workdir"
            )
        return {path.relative_to(workdir).as_posix(): path for path in _current(paths, workdir)}
    found: dict[str, Path] = {}
    names = _names(runs)
    for run in runs:
        members = [path.parent for path in run.glob(f"*/{RECORD}")]
        own = [run] if (run / RECORD).is_file() else []
        if not own and not members:
            raise UsageError(f"{run} is no run: expected the directory of one, with a {RECORD}")
        name = names[run]
        for path in (*own, *_current(members, run)):
            found["/".join((name, *path.relative_to(run).parts))] = path
    return found


def _current(paths: Sequence[Path], root: Path) -> list[Path]:
    """Leaves out what was replaced."""
    return sorted(path for path in paths if SUPERSEDED not in path.relative_to(root).parts)


def _names(runs: Sequence[Path]) -> dict[Path, str]:
    """Names directories by their last parts: one, or as many as tell those of one name apart."""
    parts = {run: run.resolve().parts for run in runs}
    names = {}
    for run, own in parts.items():
        others = {other for other in parts.values() if other != own and other[-1] == own[-1]}
        depth = 1
        while any(other[-depth:] == own[-depth:] for other in others):
            depth += 1
        names[run] = "/".join(own[-depth:])
    return names


def link_runs(found: dict[str, Path], root: Path) -> None:
    """Links what there is of runs into a folder, under the names that TensorBoard shows.

    Args:
        found: directories of runs by name.
        root: the folder; what it links already stays, but for what is no more.

    """
    for name, path in found.items():
        for folder, suffix in FOLDERS.items():
            if (path / folder).is_dir():
                _mirror((path / folder).resolve(), root / f"{name}{suffix}")


def _mirror(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for link in target.iterdir():
        if link.is_symlink() and not link.exists():
            link.unlink()
    for entry in source.iterdir():
        link = target / entry.name
        if entry.name in _PROFILES and entry.is_dir():
            _mirror(entry, link)
        elif not link.is_symlink() and not entry.name.startswith("."):
            link.symlink_to(entry, target_is_directory=entry.is_dir())
