"""Run directory: finished steps by what they were made from, published whole or not at all."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import json
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from twofold.components import files, path_schemes
from twofold.components.errors import (
    ConfigError,
    DirectoryInUseError,
    OtherConfigurationError,
    RunDirectoryError,
)
from twofold.components.training.continuing.influence import FREE, UNSEEN, select
from twofold.components.training.resuming.checkpoint_files import has_checkpoint
from twofold.components.training.resuming.interruption import Interruption
from twofold.pipeline.config import RunConfig, parse_config, to_yaml
from twofold.pipeline.config.data import without_other_sources
from twofold.pipeline.runs.record_format import RECORD, parse_record
from twofold.pipeline.runs.run_record import flat

CONFIG = "config.yaml"
METRICS = "metrics.json"
LOCK = ".lock"
# What is there before a step's first record is.
_BEGUN = {LOCK, CONFIG}
# Holds what was replaced, a folder a replacement.
SUPERSEDED = "superseded"
PAGE = "report.html"
# The key of the fingerprint that the checkpoints of a training have, of what it began with.
TRAINING = "training"


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Returns 16 hexadecimal digits that name the inputs of a step."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class RunDirectory:
    """One run: its configuration, the record of its steps, and what they made.

    Nothing is written before a step begins, and then by one process at a time.

    Args:
        path: created when the first step begins.
        config: of the run.
        facts: what else is recorded, such as versions.
        update: take over a directory that holds another configuration; steps whose inputs did not
            change are kept.

    Raises:
        OtherConfigurationError: if it holds another configuration and ``update`` is not given.
        RunDirectoryError: if it is no run directory.

    """

    def __init__(
        self, path: Path, config: RunConfig, facts: Mapping[str, Any], *, update: bool = False
    ) -> None:
        path_schemes.check_local(path, "the directory of a run")
        self.path = path
        self.config = config
        self.takes_over = update
        self._facts = dict(facts)
        self._lock: IO[str] | None = None
        self._clock: Callable[[], None] = lambda: None
        self._superseded: Path | None = None
        self._before = _read_files(path, (RECORD, CONFIG, METRICS))
        # What the record held when it was last read or written.
        self._known = self._before.get(RECORD)
        if path.exists() and not path.is_dir():
            raise RunDirectoryError(f"{path} is a file: expected a directory or a new path")
        self._record = self._read_record()
        present = self._record.get("configuration")
        if present is None and path.is_dir() and {one.name for one in path.iterdir()} - _BEGUN:
            found = (
                f"a {RECORD} without its configuration"
                if RECORD in self._before
                else (f"no {RECORD}")
            )
            raise RunDirectoryError(
                f"{path} is not empty and holds {found}: expected a run directory or a new path: "
                f"give this run a name of its own with "
                f"--name, or put {RECORD} back from a copy ({SUPERSEDED}/ may hold one)"
            )
        if present is not None:
            present = without_other_sources(present)
        given = config.model_dump(mode="json")
        differences = _differences(_with_defaults(present), given)
        # Whether the directory's work is of the settings of now, the name apart.
        self.same_configuration = not [one for one in differences if not one.startswith("name:")]
        self._unchanged = not differences
        free = free_settings(config)
        changes = "; ".join(
            line
            for line in differences
            # What is exported changes no other step, and costs little to do anew.
            if not line.startswith("export.") and not line.startswith("export:")
            if line.partition(": ")[0] not in free
        )
        if self._has_work() and changes and not update:
            raise OtherConfigurationError(
                f"{path} holds a run of another configuration ({changes}): give this run a name of "
                f"its own with --name, or let it take over the directory with --update"
            )
        self._record |= {**facts, "configuration": given}

    def part(self, config: RunConfig) -> RunDirectory:
        """Gives the directory of a run within this one, named as its configuration is.

        It may hold another configuration's work: this directory was taken over, too.
        """
        return RunDirectory(self.path / config.name, config, self._facts, update=True)

    def _read_record(self) -> dict[str, Any]:
        try:
            return parse_record(self.path / RECORD)
        except FileNotFoundError:
            return {"steps": {}}

    def _has_work(self) -> bool:
        """Tells whether there is something that another configuration would cost.

        Data sets are shared and kept anyway; without them and without a checkpoint, settings can
        be mended in place.
        """
        done = {
            name for name, entry in self._record["steps"].items() if entry.get("status") == "done"
        }
        return bool(done - {"prepare"}) or has_checkpoint(self.path / "checkpoints")

    def is_done(self, step: str, step_fingerprint: str) -> bool:
        """Tells whether a step was finished from these very inputs."""
        entry = self._record["steps"].get(step, {})
        return bool(entry.get("status") == "done" and entry.get("fingerprint") == step_fingerprint)

    @property
    def has_record(self) -> bool:
        """Whether a step has begun here."""
        return bool(self._record["steps"])

    def entry(self, step: str) -> dict[str, Any]:
        """Returns the record of a step's last run; empty where there is none."""
        return dict(self._record["steps"].get(step, {}))

    def fingerprint_of(self, step: str) -> str | None:
        """Returns the fingerprint of the step's last run, finished or not."""
        value = self._record["steps"].get(step, {}).get("fingerprint")
        return str(value) if value is not None else None

    def details(self, step: str) -> dict[str, Any]:
        """Returns what a finished step recorded."""
        details = self._record["steps"].get(step, {}).get("details", {})
        return dict(details)

    def seconds(self, step: str) -> float:
        """Returns how long a step took, over all attempts as far as they are known."""
        return float(self._record["steps"][step].get("seconds", 0))

    def forget(self, step: str) -> None:
        """Drops a step's record, so that it counts as not finished."""
        self._record["steps"].pop(step, None)

    def accept(
        self, step: str, facts: Mapping[str, Any], *, files: Mapping[str, Any] | None = None
    ) -> None:
        """Records that a step's result is reused as it is, and why that had to be said.

        Args:
            step: its name.
            facts: why it had to be said.
            files: what to record of its files, where the step did not do so itself.

        """
        self._begin()
        entry = self._record["steps"][step]
        entry["reused"] = dict(facts)
        if files is not None:
            entry["files"] = dict(files)
        self._write()

    @property
    def superseded(self) -> Path:
        """The folder that takes what this process replaces."""
        if self._superseded is None:
            now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%S")
            folder = self.path / SUPERSEDED / now
            number = 1
            while folder.exists():
                number += 1
                folder = self.path / SUPERSEDED / f"{now}-{number}"
            self._superseded = folder
        return self._superseded

    def set_aside(self, *paths: Path) -> None:
        """Moves what is about to be replaced to ``superseded``, beside copies of the records.

        Args:
            *paths: files and folders within the directory; those that are not there are passed
                over.

        """
        there = [path for path in paths if path.exists()]
        if not there:
            return
        self._lock_directory()
        if not self.superseded.exists():
            self.superseded.mkdir(parents=True)
            for name, content in self._before.items():
                files.write_bytes(self.superseded / name, content)
            if (self.path / PAGE).exists():
                files.write_bytes(self.superseded / PAGE, (self.path / PAGE).read_bytes())
        for path in there:
            target = self.superseded / path.relative_to(self.path)
            if target.is_dir():
                # A part of it was set aside before.
                self.set_aside(*path.iterdir())
                path.rmdir()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)

    @contextlib.contextmanager
    def record(
        self, step: str, step_fingerprint: str, facts: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Runs a step's block between "running" and "done", "failed" or "interrupted".

        What attempts took that did not finish the step from the same inputs, or whose training is
        gone on with, is added to what this one takes.

        Args:
            step: its name.
            step_fingerprint: of what it is made from.
            facts: what else is recorded of what it is made from.

        Yields:
            The step's entry; what the block puts under "details" and "metrics" is kept.

        """
        entry: dict[str, Any] = {
            "status": "running",
            "fingerprint": step_fingerprint,
            "details": {},
            "metrics": {},
            **(facts or {}),
        }
        self._begin()
        before = self._record["steps"].get(step, {})
        gone_on_with = before.get("status") != "done" or step == "pretrain"
        # A training may have gone on with other settings.
        same = before.get(TRAINING, before.get("fingerprint")) == entry.get(
            TRAINING, step_fingerprint
        )
        if not same or not gone_on_with:
            before = {}
        entry["attempts"] = before.get("attempts", min(1, len(before))) + 1
        self._record["steps"][step] = entry
        started = time.monotonic(), time.process_time()
        spent = float(before.get("seconds", 0)), float(before.get("cpu_seconds", 0))
        self._clock = lambda: entry.update(
            seconds=round(spent[0] + time.monotonic() - started[0], 2),
            # Of all threads, but not of other processes.
            cpu_seconds=round(spent[1] + time.process_time() - started[1], 2),
        )
        self.note_time()
        try:
            yield entry
        except Interruption as end:
            entry |= {"status": "interrupted", "error": str(end)}
            raise
        except BaseException as error:
            entry |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
            raise
        else:
            entry["status"] = "done"
        finally:
            self.note_time()

    def note_time(self) -> None:
        """Records how long the running step took so far, in case that it is killed."""
        self._clock()
        self._write()

    def metrics(self) -> dict[str, float]:
        """Returns the metrics of all finished steps, what ``metrics.json`` holds."""
        return {
            name: value
            for entry in self._record["steps"].values()
            if entry.get("status") == "done"
            for name, value in entry.get("metrics", {}).items()
        }

    def mend(self) -> list[str]:
        """Writes the files again that say what the record says, where they differ from it.

        Returns:
            Their names; none where no step is finished, or other settings are being taken over.

        """
        if not self._unchanged or not self.metrics():
            return []
        held = {CONFIG: to_yaml(self.config), METRICS: files.json_text(self.metrics())}
        broken = {
            name: text
            for name, text in held.items()
            if not (self.path / name).is_file() or (self.path / name).read_bytes() != text.encode()
        }
        if broken:
            self._lock_directory()
        for name, text in broken.items():
            files.write_text(self.path / name, text)
        return list(broken)

    def claim(self) -> None:
        """Keeps other processes out from now on.

        Raises:
            DirectoryInUseError: if one works here.

        """
        self._lock_directory()

    def check_free(self) -> None:
        """Refuses a directory that another process works in, and creates nothing.

        Raises:
            DirectoryInUseError: naming it.

        """
        if (self.path / LOCK).exists() and self.is_in_use():
            raise DirectoryInUseError(_in_use(self.path))

    def is_in_use(self) -> bool:
        """Tells whether another process works here."""
        lock = _try_lock(self.path / LOCK)
        if lock is not None:
            lock.close()
        return lock is None

    def close(self) -> None:
        """Lets other processes in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _begin(self) -> None:
        """Creates the directory, keeps other processes out of it, and writes the configuration."""
        self._lock_directory()
        files.write_text(self.path / CONFIG, to_yaml(self.config))

    def _lock_directory(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        if self._lock is None:
            lock = _try_lock(self.path / LOCK)
            if lock is None:
                raise DirectoryInUseError(_in_use(self.path))
            if _read_files(self.path, (RECORD,)).get(RECORD) != self._known:
                lock.close()
                raise DirectoryInUseError(
                    f"another process worked in {self.path} meanwhile: run the same command again"
                )
            self._lock = lock
            # At the latest when this object goes.
            weakref.finalize(self, lock.close)

    def _write(self) -> None:
        files.write_json(self.path / RECORD, self._record, default=str)
        self._known = (self.path / RECORD).read_bytes()
        files.write_json(self.path / METRICS, self.metrics())


def _in_use(path: Path) -> str:
    return (
        f"another process works in {path}: wait for it, or give this run a name of its own with "
        f"--name"
    )


def _try_lock(path: Path) -> IO[str] | None:
    """Locks a file, which closing it releases; gives None where another process holds it."""
    lock = path.open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def free_settings(config: RunConfig) -> set[str]:
    """Returns the key paths of the settings that a training goes on with, whatever they were."""
    unseen = {path for path, _ in flat(select(config, UNSEEN))}
    return unseen | {f"training.{path}" for path, _ in flat(select(config.training, FREE))}


def _read_files(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def _with_defaults(present: Any) -> Any:
    """Gives a recorded configuration with the settings that were added since, by their defaults."""
    try:
        return parse_config(present, RECORD).model_dump(mode="json")
    except ConfigError:
        return present


def _differences(present: Any, given: Any, path: str = "") -> list[str]:
    if isinstance(present, dict) and isinstance(given, dict):
        return [
            line
            for key in sorted({*present, *given})
            for line in _differences(
                present.get(key), given.get(key), f"{path}.{key}" if path else key
            )
        ]
    return [] if present == given else [f"{path}: {present!r} there, {given!r} here"]
