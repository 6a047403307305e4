"""Command line of Twofold."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from twofold.components.errors import AlarmError, SettingsError, UsageError
from twofold.components.training.resuming.interruption import Interruption
from twofold.pipeline.cli.commands import (
    check_commands,
    launch_command,
    model_commands,
    page_commands,
    picture_commands,
    recipe_commands,
    run_commands,
)
from twofold.pipeline.cli.console import errors
from twofold.pipeline.runs.error_line import error_line
from twofold.pipeline.standard_streams import lasting_streams

app = typer.Typer(
    help="Self-supervised image encoders: prepare, pretrain, evaluate, export, serve.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

_INTERRUPTED = 130
_STOPPED_BY_ALARM = 4

# In the order of `twofold --help`.
COMMANDS: Mapping[str, Callable[..., None]] = {
    "recipes": recipe_commands.list_recipes,
    "show": recipe_commands.show,
    "run": run_commands.run,
    "launch": launch_command.launch_workers,
    "prepare": run_commands.prepare,
    "pretrain": run_commands.pretrain,
    "evaluate": run_commands.evaluate,
    "export": run_commands.export,
    "verify": check_commands.verify,
    "report": page_commands.report,
    "compare": page_commands.compare,
    "tensorboard": page_commands.tensorboard,
    "views": picture_commands.views,
    "corruptions": picture_commands.corruptions,
    "reconstructions": picture_commands.reconstructions,
    "inspect": model_commands.inspect,
    "promote": model_commands.promote,
    "rollback": model_commands.rollback,
    "serve": model_commands.serve,
    "doctor": check_commands.doctor,
}

for _name, _command in COMMANDS.items():
    _settings = launch_command.CONTEXT if _name == "launch" else None
    app.command(_name, context_settings=_settings)(_command)


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="show tracebacks")] = False,
) -> None:
    """Self-supervised image encoders: prepare, pretrain, evaluate, export, serve."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line: exit status 0 done, 1 failed with a one-line cause, 2 wrong usage.

    Wrong usage is what a command, its settings or a configuration file say and cannot be done. A
    training that an alarm stopped ends with 4. A run that was told to end does so with 143
    (SIGTERM, SIGUSR1), 130 (SIGINT) or 75 (time is up).

    Work goes on where nobody reads its output any more, as after ``| head``; where the output could
    not be written for another cause, the status in the end is 1.
    """
    with lasting_streams() as output:
        try:
            _call(list(sys.argv[1:] if arguments is None else arguments))
        except SystemExit as end:
            sys.stdout.flush()
            if output.error is not None and not output.unheard and not end.code:
                errors.print(f"error: standard output: {escape(error_line(output.error))}")
                sys.exit(1)
            raise


def _call(given: list[str]) -> NoReturn:
    # What follows "--" is Beam's.
    end = given.index("--") if "--" in given else len(given)
    ours = given[:end]
    try:
        app(
            [argument for argument in ours if argument != "--debug"] + given[end:],
            obj=given[end + 1 :],
        )
    except Exception as error:
        _explain(error, debug="--debug" in ours)
        sys.exit(_status(error))
    except Interruption as end:
        errors.print(f"{escape(str(end))}; {escape(end.then)}")
        sys.exit(end.status)
    except SystemExit as end:
        # Typer takes the keyboard interrupt and ends without a word; a command has said its own.
        cause = getattr(end.__context__, "__cause__", None)
        if end.code == _INTERRUPTED and isinstance(cause, KeyboardInterrupt):
            errors.print("interrupted")
        # And so does it with any connection that is broken, which here is never an output.
        if isinstance(end.__context__, BrokenPipeError):
            _explain(end.__context__, debug="--debug" in ours)
        raise
    sys.exit()


def _explain(error: Exception, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
        return
    errors.print(f"error: {escape(error_line(error))}")
    for note in getattr(error, "__notes__", ()):
        errors.print(escape(" ".join(note.split())))


def _status(error: Exception) -> int:
    if isinstance(error, AlarmError):
        return _STOPPED_BY_ALARM
    return 2 if isinstance(error, UsageError | SettingsError) else 1
