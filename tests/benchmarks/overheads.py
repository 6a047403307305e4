"""Times what goes on beside training's steps: checkpoints, monitors and alarms, at their defaults.

    make benchmark-overheads
    python -m tests.benchmarks.overheads --only quickstart --rounds 11

A whole training by the defaults of a recipe, and the same without checkpoints, without monitors
(TensorBoard and its snapshots, the metrics file, the validation of each epoch), without alarms, and
without any of them. Each runs in a process of its own; they take turns, an epoch each, so that a
ratio compares steps made within seconds of each other. The first epoch, with tracing and
compilation, counts for none. On a machine that others use, too, look at the processor's seconds,
in which a checkpoint's writing counts though training does not wait for it.

The target: each part takes less than 2 % of the time of a step.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.process import Stepper, Turn
from tests.benchmarks.train_step import machine, spread
from tests.benchmarks.trainings import SETTINGS, VARIANTS, steps_of

_MODULE = "tests.benchmarks.trainings"


def measure(size: str, rounds: int | None) -> dict[str, list[Turn]]:
    """Lets all variants train an epoch in turn, and so on, but for the last one.

    Args:
        size: a key of ``SETTINGS``.
        rounds: epochs that count; None for all.

    """
    per_epoch, epochs = steps_of(size)
    # What comes after the last step is none of it.
    most = epochs - 2
    rounds = most if rounds is None else min(rounds, most)
    with contextlib.ExitStack() as stack:
        steppers = {name: stack.enter_context(Stepper(_MODULE, name, size)) for name in VARIANTS}
        for one in steppers.values():
            # The first step is made.
            one.step(per_epoch - 1)
        turns: dict[str, list[Turn]] = {name: [] for name in VARIANTS}
        for number in range(rounds):
            order = list(steppers.items())
            for name, one in order if number % 2 else reversed(order):
                turns[name].append(one.step(per_epoch))
        return turns


def build_table(size: str, turns: dict[str, list[Turn]]) -> Table:
    """Lays out what each part costs: the sums of all turns, and their spread, in per cent."""
    table = Table(
        title=f"{size}: what the defaults take over the same without a part, % of a step",
        caption="all: of the sums; median (least..most): of turns made after one another",
    )
    for heading in ("without", "all", "turns", "all, cpu", "turns, cpu"):
        table.add_column(heading)
    for name, others in turns.items():
        if name == "defaults":
            continue
        row = [name.removeprefix("no ")]
        for field in ("seconds", "processor_seconds"):
            ours = [getattr(one, field) for one in turns["defaults"]]
            theirs = [getattr(one, field) for one in others]
            each = [100 * (one / other - 1) for one, other in zip(ours, theirs, strict=True)]
            row += [f"{100 * (sum(ours) / sum(theirs) - 1):+.1f}", spread(each, "{:+.1f}")]
        table.add_row(*row)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints the tables and writes all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--rounds", type=int, help="epochs that count; all but the first and last")
    parser.add_argument("--output", type=Path, help="a JSON file to write every figure to")
    options = parser.parse_args(arguments)
    console = Console(width=140)
    facts = machine()
    console.print(", ".join(f"{name}: {value}" for name, value in facts.items()))
    figures = {}
    for size in options.only:
        turns = measure(size, options.rounds)
        console.print(build_table(size, turns))
        figures[size] = {
            name: [[one.seconds, one.processor_seconds] for one in each]
            for name, each in turns.items()
        }
    if options.output:
        options.output.write_text(json.dumps({"machine": facts, "turns": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
