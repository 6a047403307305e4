"""Run directory: finished steps by what they were made from, published whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from twofold.components import files
from twofold.components.errors import RunDirectoryError
from twofold.pipeline.config import RunConfig, to_yaml
from twofold.pipeline.config.data import without_other_sources

RECORD = "run.json"
CONFIG = "config.yaml"
METRICS = "metrics.json"
LOCK = ".lock"


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
        RunDirectoryError: if the directory holds another configuration and ``update`` is not given,
            or is no run directory.

    """

    def __init__(
        self, path: Path, config: RunConfig, facts: Mapping[str, Any], *, update: bool = False
    ) -> None:
        self.path = path
        self.config = config
        self._facts = dict(facts)
        self._lock: IO[str] | None = None
        if path.exists() and not path.is_dir():
            raise RunDirectoryError(f"{path} is a file: expected a directory or a new path")
        self._record = self._read_record()
        present = self._record.get("configuration")
        if present is not None:
            present = without_other_sources(present)
        wanted = config.model_dump(mode="json")
        changes = "; ".join(
            line
            for line in _differences(present, wanted)
            # What is exported changes no other step, and costs little to do anew.
            if not line.startswith("export.") and not line.startswith("export:")
        )
        if self._has_work() and changes and not update:
            raise RunDirectoryError(
                f"{path} holds a run of another configuration ({changes}): give this run a name of "
                f"its own with --name, or let it take over the directory with --update"
            )
        if present is None and path.is_dir() and any(path.iterdir()):
            raise RunDirectoryError(
                f"{path} is not empty and holds no {RECORD}: expected a run directory or a new path"
            )
        self._record |= {**facts, "configuration": wanted}

    def part(self, config: RunConfig) -> RunDirectory:
        """Gives the directory of a run within this one, named as its configuration is.

        It may hold another configuration's work: this directory was taken over, too.
        """
        return RunDirectory(self.path / config.name, config, self._facts, update=True)

    def _read_record(self) -> dict[str, Any]:
        path = self.path / RECORD
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"steps": {}}
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise RunDirectoryError(
                f"{path} is damaged: expected JSON, received {error}"
            ) from error
        steps = record.get("steps") if isinstance(record, dict) else None
        if not isinstance(steps, dict) or not all(isinstance(one, dict) for one in steps.values()):
            raise RunDirectoryError(
                f"{path} is damaged: expected an object with the key 'steps', an object of objects"
            )
        found: dict[str, Any] = record
        return found

    def _has_work(self) -> bool:
        """Tells whether there is something that another configuration would cost.

        Data sets are shared and kept anyway; without them and without a checkpoint, settings can
        be mended in place.
        """
        done = {
            name for name, entry in self._record["steps"].items() if entry.get("status") == "done"
        }
        return bool(done - {"prepare"}) or (self.path / "checkpoints" / "checkpoint").exists()

    def is_done(self, step: str, step_fingerprint: str) -> bool:
        """Tells whether a step was finished from these very inputs."""
        entry = self._record["steps"].get(step, {})
        return bool(entry.get("status") == "done" and entry.get("fingerprint") == step_fingerprint)

    def fingerprint_of(self, step: str) -> str | None:
        """Returns the fingerprint of the step's last run, finished or not."""
        value = self._record["steps"].get(step, {}).get("fingerprint")
        return str(value) if value is not None else None

    def details(self, step: str) -> dict[str, Any]:
        """Returns what a finished step recorded."""
        details = self._record["steps"].get(step, {}).get("details", {})
        return dict(details)

    def seconds(self, step: str) -> float:
        """Returns how long the step's last run took."""
        return float(self._record["steps"][step]["seconds"])

    def forget(self, step: str) -> None:
        """Drops a step's record, so that it counts as not finished."""
        self._record["steps"].pop(step, None)

    @contextlib.contextmanager
    def record(self, step: str, step_fingerprint: str) -> Iterator[dict[str, Any]]:
        """Runs a step's block between "running" and "done" or "failed".

        Yields:
            The step's entry; what the block puts under "details" and "metrics" is kept.

        """
        entry: dict[str, Any] = {
            "status": "running",
            "fingerprint": step_fingerprint,
            "details": {},
            "metrics": {},
        }
        self._begin()
        self._record["steps"][step] = entry
        self._write()
        start, cpu_start = time.monotonic(), time.process_time()
        try:
            yield entry
        except BaseException as error:
            entry |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
            raise
        else:
            entry["status"] = "done"
        finally:
            entry["seconds"] = round(time.monotonic() - start, 2)
            # Of all threads, but not of other processes.
            entry["cpu_seconds"] = round(time.process_time() - cpu_start, 2)
            self._write()

    def metrics(self) -> dict[str, float]:
        """Returns the metrics of all finished steps, what ``metrics.json`` holds."""
        return {
            name: value
            for entry in self._record["steps"].values()
            if entry["status"] == "done"
            for name, value in entry["metrics"].items()
        }

    def close(self) -> None:
        """Lets other processes in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _begin(self) -> None:
        """Creates the directory, keeps other processes out of it, and writes the configuration."""
        self.path.mkdir(parents=True, exist_ok=True)
        if self._lock is None:
            lock = (self.path / LOCK).open("w", encoding="utf-8")
            # Closing the file releases it, at the latest when this object goes.
            weakref.finalize(self, lock.close)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                raise RunDirectoryError(
                    f"another process works in {self.path}: wait for it, or give this run a name "
                    f"of its own with --name"
                ) from None
            self._lock = lock
        files.write_text(self.path / CONFIG, to_yaml(self.config))

    def _write(self) -> None:
        files.write_json(self.path / RECORD, self._record, default=str)
        files.write_json(self.path / METRICS, self.metrics())


def _differences(present: Any, wanted: Any, path: str = "") -> list[str]:
    if isinstance(present, dict) and isinstance(wanted, dict):
        return [
            line
            for key in sorted({*present, *wanted})
            for line in _differences(
                present.get(key), wanted.get(key), f"{path}.{key}" if path else key
            )
        ]
    return [] if present == wanted else [f"{path}: {present!r} there, {wanted!r} here"]
