"""Check of a run before what is expected to take long, once for each run."""

from __future__ import annotations

from collections.abc import Callable

from twofold.components.errors import EndedApartError, UntriedError
from twofold.components.training.reporting.intervals import duration
from twofold.pipeline.rehearsal.check_run import check_run
from twofold.pipeline.rehearsal.short_config import without_start
from twofold.pipeline.runs.run_context import Context


def check_before_long(until: str) -> Callable[[Context, str, float], float | None]:
    """Returns what ``Context.before_long`` may be: a check, the first time that a run calls it.

    Args:
        until: the last requested step.

    """
    checked: set[str] = set()

    def check(context: Context, what: str, seconds: float) -> float | None:
        name = context.config.name
        if name in checked:
            return None
        checked.add(name)
        context.say(
            f"{what} is expected to take {duration(seconds)}: trying all steps on one batch first"
        )
        begun = what == "training"
        try:
            took = check_run(
                without_start(context.config) if begun else context.config,
                stop=context.stop,
                until=until,
                # It has the GPUs, and shows itself whether it fits them.
                without_gpu=begun,
            )
        except (EndedApartError, UntriedError) as error:
            # Beside a training there may be too little memory for a second one.
            if isinstance(error, EndedApartError) and not begun:
                raise
            context.say(f"the steps were not tried: {error}; {what} goes on")
            return None
        context.say(f"all steps passed on one batch, in {duration(took)}")
        return took

    return check
