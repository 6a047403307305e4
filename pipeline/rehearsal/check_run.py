"""Check of a run: a rehearsal in a process of its own, whose failure is the command's."""

from __future__ import annotations

import time

from twofold.components.training.resuming.interruption import StopRequest
from twofold.pipeline.config import RunConfig
from twofold.pipeline.rehearsal.apart import run_apart
from twofold.pipeline.steps.reuse.outputs import STEPS

_REHEARSE = "twofold.pipeline.rehearsal.rehearse:rehearse"


def check_run(
    config: RunConfig,
    *,
    stop: StopRequest,
    until: str = STEPS[-1],
    without_gpu: bool = False,
) -> float:
    """Takes every step of a run on one batch, in a temporary place, and leaves nothing behind.

    Args:
        config: of the run.
        stop: ends the check.
        until: the last step.
        without_gpu: whether to leave the GPUs to a training that has begun.

    Returns:
        The seconds that it took.

    Raises:
        RehearsalError: naming the step that failed, and why.
        SettingsError: likewise, where settings are at fault.
        Interruption: if the run was told to end.

    """
    started = time.monotonic()
    run_apart(_REHEARSE, config, stop=stop, without_gpu=without_gpu, until=until)
    return time.monotonic() - started
