"""Check of a GPU against the CPU: losses, images a second, share of the peak, memory.

    make gpu-check
    python -m tests.gpu.check --minutes 10 --output build/gpu-check

Each recipe's first losses on few images in float32 are held to the CPU's, and its step is timed as
the product makes it; then in other precisions and without XLA. What the time does not suffice for
is named. The table is printed, and written as Markdown beside a JSON file of every figure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.gpu.peaks import peak_flops
from tests.gpu.step import Answer, Task

RECIPES = ("stl10_simclr", "stl10_nnclr", "cifar10_barlow_twins", "cifar10_emp_ssl")
# Relative, of losses in float32 after up to two updates.
_TOLERANCE = 1e-3
_FEW = 16

Run = Callable[[Task], "Answer | str"]


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table: a task, and what came of it.

    Attributes:
        task: what was run.
        answer: what it gave, or why it gave nothing.
        reference: what the CPU gave, where the two are compared.

    """

    task: Task
    answer: Answer | str
    reference: Answer | str | None = None

    @property
    def difference(self) -> float | None:
        """The largest relative difference of the losses from the CPU's; nan if one is nan."""
        if isinstance(self.answer, str) or not isinstance(self.reference, Answer):
            return None
        pairs = zip(self.answer.losses, self.reference.losses, strict=True)
        found = [abs(one - other) / abs(other) for one, other in pairs]
        return math.nan if any(map(math.isnan, found)) else max(found)

    @property
    def failed(self) -> bool:
        """Whether there is no answer, or one that the CPU does not give."""
        if isinstance(self.answer, str) or isinstance(self.reference, str):
            return True
        # What is no number is not below anything.
        return self.difference is not None and not self.difference <= _TOLERANCE


def check_tasks(recipes: Sequence[str], device: str) -> list[Task]:
    """Gives what is held to the CPU."""
    return [Task(recipe, device, _FEW, "float32", "none") for recipe in recipes]


def speed_tasks(recipes: Sequence[str], device: str, images: int | None, each: float) -> list[Task]:
    """Gives what is timed, the product's own choice first."""
    return [
        Task(recipe, device, images, precision, compiled, each)
        for compiled, precision in (
            ("auto", "bfloat16"),
            ("auto", "float32"),
            ("none", "bfloat16"),
            ("none", "float32"),
        )
        for recipe in recipes
    ]


def run_all(
    checks: Sequence[Task], speeds: Sequence[Task], deadline: float, run: Run
) -> tuple[list[Row], list[Task]]:
    """Runs tasks one after another until the time is up.

    Args:
        checks: to hold to the CPU.
        speeds: to time, of each recipe that is checked its own choice first.
        deadline: by ``time.monotonic()``, after which none is begun.
        run: makes one, and gives why if it cannot.

    Returns:
        What was run, and what was not for want of time.

    """
    rows, left = [], []
    # The CPU may take minutes for one: not all of them come before the first time.
    first = [task for pair in zip(checks, speeds, strict=False) for task in pair]
    for task in [*first, *speeds[len(checks) :]]:
        if time.monotonic() >= deadline:
            left.append(task)
            continue
        answer, reference = run(task), None
        if not task.seconds:
            # A rehearsal is held to itself.
            on_cpu = task.device == "CPU"
            reference = answer if on_cpu else run(dataclasses.replace(task, device="CPU"))
        rows.append(Row(task, answer, reference))
    return rows, left


def table(rows: Sequence[Row], left: Sequence[Task]) -> str:
    """Writes the results in Markdown."""
    names = sorted({row.answer.device for row in rows if isinstance(row.answer, Answer)})
    lines = [
        f"# {', '.join(names) or 'no device answered'}",
        "",
        "| recipe | images a step | precision | XLA | losses against the CPU's | images/s "
        "| TFLOP/s | share of peak | peak memory | first step |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *map(_line, rows),
    ]
    if left:
        kinds = ", ".join(f"{one.recipe} {one.precision} {one.compile}" for one in left)
        lines += ["", f"Not run for want of time: {kinds}."]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    task, answer = row.task, row.answer
    start = [task.recipe, str(task.images or "the recipe's"), task.precision, task.compile]
    if isinstance(answer, str):
        return f"| {' | '.join(start)} | **{answer}** | | | | | |"
    compared = ""
    if row.difference is not None:
        compared = f"{'**differ**' if row.failed else 'equal'}, by {row.difference:.1e}"
    elif isinstance(row.reference, str):
        compared = f"**the CPU: {row.reference}**"
    rate = answer.images_per_second
    flops = None if rate is None else rate * answer.flops_per_image
    peak = peak_flops(answer.device, task.precision)
    cells = [
        compared,
        "" if rate is None else f"{rate:,.0f}",
        "" if flops is None else f"{flops / 1e12:.2f}",
        "" if flops is None else "not known" if peak is None else f"{100 * flops / peak:.1f} %",
        "" if answer.peak_bytes is None else f"{answer.peak_bytes / 2**30:.2f} GiB",
        f"{answer.first_seconds:.1f} s",
    ]
    return f"| {' | '.join([*start, *cells])} |"


def run_apart(task: Task) -> Answer | str:
    """Makes a task in a process of its own; gives the last line of its complaint if it cannot."""
    command = [sys.executable, "-m", "tests.gpu.step", json.dumps(dataclasses.asdict(task))]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (finished.stdout if finished.returncode == 0 else finished.stderr).split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    if finished.returncode:
        return f"failed: {last[:200] or f'status {finished.returncode}'}"
    return Answer(**json.loads(last))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs everything, prints the table and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="none is begun after")
    parser.add_argument("--seconds", type=float, default=8.0, help="to time each step for")
    parser.add_argument("--recipes", nargs="+", default=RECIPES, help="whose steps")
    parser.add_argument("--images", type=int, help="a step; the recipes' own without it")
    parser.add_argument("--device", choices=("GPU", "CPU"), default="GPU", help="CPU: a rehearsal")
    parser.add_argument("--output", type=Path, default=Path("build/gpu-check"), help="without .md")
    options = parser.parse_args(arguments)
    if options.device == "GPU" and isinstance(
        problem := run_apart(Task(options.recipes[0], "GPU", _FEW, "float32", "none")), str
    ):
        parser.error(f"{problem}; --device CPU rehearses without one")
    deadline = time.monotonic() + 60 * options.minutes
    speeds = speed_tasks(options.recipes, options.device, options.images, options.seconds)
    rows, left = run_all(check_tasks(options.recipes, options.device), speeds, deadline, run_apart)
    text = table(rows, left)
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".md").write_text(text, encoding="utf-8")
    figures = [dataclasses.asdict(row) for row in rows]
    options.output.with_suffix(".json").write_text(json.dumps(figures, indent=2) + "\n")
    if failed := [row.task for row in rows if row.failed]:
        sys.exit(f"{len(failed)} of {len(rows)} failed: see the table")


if __name__ == "__main__":
    main()
