"""Times a training step of recipe A against plain Keras and against the networks alone.

    make benchmark
    python -m tests.benchmarks.train_step --rounds 9 --output step.json

Each variant runs in a process of its own; they take turns, round by round, so that a ratio
compares steps made within seconds of each other and holds when the machine's speed drifts. On a
machine that others use, too, look at the processor's seconds, which leave out the wait for a core;
on an idle one at the seconds that pass, which tell whether all cores are busy.

The targets: at least 1.6 times plain Keras's images a second with bfloat16, where the processor
gains from it, 1.1 times in float32, and at most 8 % over the networks' own forward and backward in
the same precision. A processor with AVX512-BF16 and without AMX may multiply in bfloat16 at half
the speed of float32: the networks' own rows tell.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.process import Stepper, Turn
from twofold.components.training.precision import bfloat16_instructions

_VARIANTS = "tests.benchmarks.variants"
NAMES = [
    f"{kind} {dtype}"
    for dtype in ("float32", "bfloat16")
    for kind in ("plain", "twofold", "networks")
]


@dataclasses.dataclass(frozen=True)
class Size:
    """A workload: ``images`` of ``side`` pixels a step, ``turn`` steps in a row."""

    images: int
    side: int
    turn: int


SIZES = (Size(images=525, side=96, turn=1), Size(images=512, side=32, turn=4))


@dataclasses.dataclass(frozen=True)
class Measured:
    """One variant at one size.

    Attributes:
        turns: of each round.
        first_seconds: of the first step, with tracing and compilation.
        first_loss: of the first step.
        peak_bytes: resident memory at its peak, over that before the first step.

    """

    turns: list[Turn]
    first_seconds: float
    first_loss: float
    peak_bytes: int


def measure(size: Size, rounds: int, seconds: float, names: Sequence[str]) -> dict[str, Measured]:
    """Measures the variants in turn: so many rounds, or fewer, but one, if the time runs out."""
    end = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        steppers = {
            name: stack.enter_context(Stepper(_VARIANTS, name, size.images, size.side))
            for name in names
        }
        turns: dict[str, list[Turn]] = {name: [] for name in names}
        for done in range(rounds):
            if done and time.monotonic() > end:
                break
            for name, stepper in steppers.items():
                turns[name].append(stepper.step(size.turn))
        return {
            name: Measured(
                turns[name],
                stepper.first.seconds,
                stepper.first.loss,
                stepper.peak_bytes(),
            )
            for name, stepper in steppers.items()
        }


def ratios(one: Measured, other: Measured, field: str) -> list[float]:
    """Returns a field of one's turns over that of the other's, round by round."""
    return [
        getattr(a, field) / getattr(b, field) for a, b in zip(one.turns, other.turns, strict=True)
    ]


def machine() -> dict[str, object]:
    """Returns what the figures depend on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            model = value.strip()
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "bfloat16": bfloat16_instructions(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "numpy")},
        "load": list(os.getloadavg()),
    }


def build_table(size: Size, results: dict[str, Measured]) -> Table:
    """Lays out the results of one size: medians, and least to most over the rounds."""
    table = Table(
        title=f"A step of {size.images} images of {size.side}x{size.side}x3, "
        f"{len(next(iter(results.values())).turns)} rounds",
        caption="x plain: images/s against plain float32; over: against networks of the same "
        "precision; cpu: by the processor's seconds",
    )
    headings = ("s", "cpu s", "images/s", "x plain", "x, cpu", "over %", "over %, cpu")
    table.add_column("variant")
    for heading in (*headings, "first s", "peak MB"):
        table.add_column(heading, justify="right")
    for name, result in results.items():
        kind, dtype = name.split()
        plain, networks = results.get("plain float32"), results.get(f"networks {dtype}")
        compared = kind != "networks"
        seconds = statistics.median(turn.seconds for turn in result.turns)
        processor = statistics.median(turn.processor_seconds for turn in result.turns)
        fields = ("seconds", "processor_seconds")
        table.add_row(
            name,
            f"{seconds:.3f}",
            f"{processor:.3f}",
            f"{size.images / seconds:.0f}",
            *[
                spread(ratios(plain, result, field), "{:.2f}") if plain and compared else ""
                for field in fields
            ],
            *[
                spread([100 * (one - 1) for one in ratios(result, networks, field)], "{:+.0f}")
                if networks and compared
                else ""
                for field in fields
            ],
            f"{result.first_seconds:.1f}",
            f"{result.peak_bytes / 1e6:.0f}",
        )
    return table


def spread(values: Sequence[float], form: str) -> str:
    """The median of values and, in brackets, the least and the most."""
    median, least, most = (
        form.format(one) for one in (statistics.median(values), min(values), max(values))
    )
    return f"{median} ({least}..{most})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints the tables and writes all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each variant")
    parser.add_argument(
        "--minutes", type=float, default=2.0, help="for a size; no round begins after"
    )
    parser.add_argument("--output", type=Path, help="a JSON file to write every figure to")
    parser.add_argument(
        "--side", type=int, choices=[size.side for size in SIZES], help="one size only"
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, help="these variants only")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, received {options.rounds}")

    console = Console(width=140)
    facts = machine()
    console.print(", ".join(f"{name}: {value}" for name, value in facts.items()))
    figures: list[dict[str, object]] = []
    for size in SIZES:
        if options.side not in (None, size.side):
            continue
        results = measure(size, options.rounds, 60 * options.minutes, options.only or NAMES)
        console.print(build_table(size, results))
        figures.append(
            {
                **dataclasses.asdict(size),
                "variants": {name: dataclasses.asdict(one) for name, one in results.items()},
            }
        )
    if options.output:
        options.output.write_text(json.dumps({"machine": facts, "sizes": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
