"""Rehearsal: every step of a run on one batch of its images, in a folder that is thrown away."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from pathlib import Path

from twofold.components.data.sources.source import Source
from twofold.components.errors import RehearsalError, SettingsError, UsageError
from twofold.pipeline.config import RunConfig
from twofold.pipeline.config.data_source import build_data_source, preparation_settings
from twofold.pipeline.rehearsal.few_images import FewImages, choose_items, fill_splits
from twofold.pipeline.rehearsal.short_config import images_needed, shorten
from twofold.pipeline.reports.run_report import write_run_report
from twofold.pipeline.runs.error_line import error_line
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.runs.run_record import read_record
from twofold.pipeline.steps.reuse.outputs import STEPS
from twofold.pipeline.steps.runner import run_steps


@dataclasses.dataclass(frozen=True)
class FewContext(Context):
    """A run on few images.

    Attributes:
        few: the images.

    """

    few: FewImages | None = None

    @functools.cached_property
    def source(self) -> Source:
        """The few images, in place of those that the configuration names."""
        return self.few or super().source


def open_rehearsal(config: RunConfig, folder: Path, *, few: FewImages | None = None) -> FewContext:
    """Opens a run of the least length on few of a configuration's images.

    Args:
        config: of the whole run.
        folder: that will hold all of it.
        few: the images; None to choose them.

    Raises:
        DataError: if no image can be used.

    """
    settings = preparation_settings(config.data)
    if few is None:
        source = build_data_source(config.data)
        chosen = choose_items(source, settings)
        few = FewImages(source.info(), fill_splits(chosen, settings, images_needed(config)))
    short = shorten(config)
    return FewContext(
        config=short,
        run=RunDirectory(folder / "run", short, {}),
        datasets=str(folder / "datasets"),
        beam_options=(),
        progress=no_progress,
        say=lambda line: None,
        few=few,
    )


def rehearse(config: RunConfig, folder: Path, until: str = STEPS[-1]) -> None:
    """Takes the steps of a run on one batch, with its page.

    Args:
        config: of the whole run.
        folder: that takes all that is made.
        until: the last step.

    Raises:
        RehearsalError: naming the step that failed, and why.
        SettingsError: likewise, where settings are at fault.

    """
    reached = "reading images"
    try:
        context = open_rehearsal(config, folder)
        with contextlib.closing(context.run):
            reached = "prepare"
            run_steps(context, until)
            reached = "report"
            if until != "prepare":
                write_run_report(read_record(context.run.path), context.datasets)
    except Exception as error:
        failed = _failed_step(context) if reached == "prepare" else reached
        kind = SettingsError if isinstance(error, UsageError | SettingsError) else RehearsalError
        raise kind(f"tried on one batch, {failed} fails: {error_line(error)}") from error


def _failed_step(context: Context) -> str:
    """Returns the step that failed: the first that is not done."""
    undone = (name for name in STEPS if context.run.entry(name).get("status") != "done")
    return next(undone, STEPS[-1])
