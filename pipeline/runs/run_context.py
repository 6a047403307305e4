"""Context that every step of a run is given: configuration, directory, output."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from twofold.components import files
from twofold.components.data.sources.source import Source
from twofold.components.data.store.manifest import Manifest, load_manifest
from twofold.components.training.reporting.intervals import Interval
from twofold.components.training.resuming.interruption import StopRequest
from twofold.components.training.workers.worker_group import WorkerGroup
from twofold.pipeline.config import RunConfig
from twofold.pipeline.config.data_source import build_data_source
from twofold.pipeline.runs.run_directory import RunDirectory

# A description and a total in; a call that says how many are done out.
ProgressFactory = Callable[
    [str, int, str], contextlib.AbstractContextManager[Callable[[int], None]]
]


def after(show: Callable[[int], None], before: int) -> Callable[[int], None]:
    """Counts on from what was done before, for one part of several under one progress."""
    return lambda done: show(before + done)


@dataclasses.dataclass(frozen=True)
class Context:
    """A run in the making.

    Attributes:
        config: of the run.
        run: its directory.
        datasets: where prepared data sets live, shared by runs; may be in a bucket.
        beam_options: what followed ``--`` on the command line.
        progress: shows how far a long part is.
        say: prints one line for a person.
        other_code: what becomes of a finished step that other code made: its result is reused, the
            step is done again, or the user is asked, by an exception.
        stop: whether the run is to end early.
        callbacks: told of pretraining, of its teacher's training and of fine-tuning, beside those
            that the settings name; see ``TrainingCallback``.
        show_interval: shows an interval of training: in its bar, or in a line.
        workers: that train its encoder together; None where there is one.
        before_long: called before what is expected to take long, with the run, what it is and the
            seconds; returns those that it took itself, or None if it did nothing.

    """

    config: RunConfig
    run: RunDirectory
    datasets: str
    beam_options: tuple[str, ...]
    progress: ProgressFactory
    say: Callable[[str], None]
    other_code: Literal["ask", "reuse", "update"] = "ask"
    stop: StopRequest = dataclasses.field(default_factory=StopRequest)
    callbacks: Sequence[Any] = ()
    show_interval: Callable[[Interval], None] = lambda interval: None
    workers: WorkerGroup | None = None
    before_long: Callable[[Context, str, float], float | None] = lambda *_: None

    @functools.cached_property
    def source(self) -> Source:
        """Where the images come from; it is listed once, however many steps ask."""
        return build_data_source(self.config.data)

    @property
    def dataset_directory(self) -> str:
        """Where this run's prepared data set is; known once ``prepare`` is done."""
        return files.join(self.datasets, str(self.run.details("prepare")["dataset"]))

    def manifest(self) -> Manifest:
        """Opens the prepared data set."""
        return load_manifest(self.dataset_directory)


@contextlib.contextmanager
def no_progress(description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Shows nothing."""
    yield lambda done: None
