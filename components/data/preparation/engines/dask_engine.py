"""Dask runner: Beam's, also by its short names, with a cluster's faults in one line.

Beam's DaskRunner is sound for a line of stages with one output each, which is all that a
preparation needs. Dask repeats what a lost worker had done: a stage that is repeated finds what is
finished, and what it gives may arrive twice.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineRunner, PipelineState

from twofold.components.errors import DataError, EngineError

_MODULE = "apache_beam.runners.dask.dask_runner"
_NAMES = (f"{_MODULE}.DaskRunner".lower(), "daskrunner", "dask")
_INSTALL = "pip install 'twofold[dask]'"
# Beam's own 128 elements a partition leave few data sets any for a second worker.
_MOST_PARTITIONS = 256


def is_dask(runner: str | None) -> bool:
    """Whether this is one of the names of Dask's runner."""
    return runner is not None and runner.lower() in _NAMES


def add_options() -> None:
    """Make Dask's options known to Beam.

    Raises:
        DataError: Dask is not installed.

    """
    _modules()


def dask_runner() -> PipelineRunner:
    """A runner on the cluster that the options name, or else on processes of this machine.

    Its result's `wait_until_finish` lets go of the cluster, and raises an EngineError where that
    came to its end first.

    Raises:
        DataError: Dask is not installed.

    """
    dask, distributed, beams = _modules()

    class DaskRunner(beams.DaskRunner):  # type: ignore[name-defined]
        """Beam's, with partitions for all workers and, of ways to shuffle, the one for clusters."""

        def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> Any:
            given = options.view_as(beams.DaskOptions)
            if given.npartitions is None and given.partition_size is None:
                given.npartitions = _MOST_PARTITIONS
            try:
                with dask.config.set({"dataframe.shuffle.method": "tasks"}):
                    result = super().run_pipeline(pipeline, options)
            except OSError as error:
                raise EngineError(
                    f"no Dask scheduler answers at {given.address or given.scheduler_file}: "
                    f"{error}; `dask scheduler` starts one, and without --dask_client_address "
                    "the workers are processes of this machine"
                ) from error
            return Result(result.client, result.futures)

    class Result(beams.DaskRunnerResult):  # type: ignore[name-defined]
        """Beam's takes futures that were cancelled with their scheduler for finished ones."""

        def wait_until_finish(self, duration: int | None = None) -> str:
            with self.client, _losses(distributed):
                for future, _ in distributed.as_completed(self.futures, with_results=True):
                    if future.status != "finished":
                        raise EngineError("Dask's scheduler was lost")
            self._state = PipelineState.DONE
            return str(self._state)

    return DaskRunner()


def _modules() -> tuple[Any, Any, Any]:
    names = ("dask", "distributed", _MODULE)
    try:
        dask, distributed, beams = map(importlib.import_module, names)
    except ImportError as error:
        raise DataError(
            f"DaskRunner needs the package {error.name}; install it with: {_INSTALL}"
        ) from error
    return dask, distributed, beams


@contextlib.contextmanager
def _losses(distributed: Any) -> Iterator[None]:
    """Say what became of the cluster, where it was not a stage that failed."""
    try:
        yield
    except distributed.scheduler.KilledWorker as error:
        lost = error.allowed_failures + 1
        raise EngineError(
            f"Dask lost {lost} workers in turn at one task, the last of them at "
            f"{error.last_worker.address}: its log says why, mostly too little memory"
        ) from error
    except distributed.comm.CommClosedError as error:
        raise EngineError(f"Dask's scheduler was lost: {error}") from error
