"""Measures how fast prepared images are read, and how long training waits for them.

    make benchmark-reading
    python -m tests.benchmarks.reading --images photographs.zip --rounds 9 --output reading.json

The images are prepared first. Then each way of reading them runs in a process of its own; they take
turns of about a second, round by round. "cached" gathers batches from decoded images that are
mapped into memory, "streaming" decodes each batch from the shards; both in a seeded order. "map"
and "TFDS" read the same shards in their order, an element an image, and keep none of them.

Training steps (recipe E's encoder at up to 32 pixels, recipe A's above, two views and the
contrastive loss) are made with one batch that is ready, with cached and with streamed ones. What
they wait for a batch is given as a share of the whole step; of a ready one it is what TensorFlow
takes to hand it over. Threads that decode meanwhile slow the step itself where no core is idle: the
last column has both, against the step alone.

The targets: cached at least 400,000 images a second at 32 pixels and 250,000 at 96, streaming
50,000 and 20,000; less than 1 % of a step is waited.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.inputs import CIFAR, IMAGENETTE, shared, write_generated
from tests.benchmarks.process import Stepper, Turn
from tests.benchmarks.train_step import Measured, machine, ratios, spread
from tests.benchmarks.watch import watch
from twofold.components.data.store.manifest import Manifest, load_manifest

READERS = ("cached", "streaming", "map", "TFDS")
STEPS = ("step alone", "step, cached", "step, streaming")

_MODULE = "tests.benchmarks.readers"
_GENERATED = ((32, 10_000), (96, 3_000))
_DRAINED = 16


def measure(
    dataset: Path, cache: Path, side: int, names: Sequence[str], rounds: int, seconds: float
) -> dict[str, Measured]:
    """Lets the variants take turns of about so many seconds."""
    with contextlib.ExitStack() as stack:
        steppers: dict[str, Stepper] = {}
        counts: dict[str, int] = {}
        for name in names:
            stepper = stack.enter_context(Stepper(_MODULE, name, str(dataset), str(cache), side))
            taken = stepper.step(1).seconds
            if taken < seconds:
                taken = stepper.step(_DRAINED).seconds
            counts[name] = max(1, round(seconds / taken))
            steppers[name] = stepper
        turns: dict[str, list[Turn]] = {name: [] for name in names}
        for _ in range(rounds):
            for name, stepper in steppers.items():
                if name in READERS:
                    # What was read ahead while others had their turns.
                    stepper.step(_DRAINED)
                turns[name].append(stepper.step(counts[name]))
        return {
            name: Measured(
                turns[name], stepper.first.seconds, stepper.first.loss, stepper.peak_bytes()
            )
            for name, stepper in steppers.items()
        }


def build_reading_table(title: str, results: dict[str, Measured]) -> Table:
    """Lays out medians, and least to most over the rounds."""
    table = Table(
        title=f"Reading {title}",
        caption="x: images a second against the other, round by round; cpu s: that all threads "
        "computed for a second that passed",
    )
    table.add_column("variant")
    for heading in ("images/s", "x map", "x TFDS", "cpu s", "peak MB"):
        table.add_column(heading, justify="right")
    for name in READERS:
        result = results.get(name)
        if result is None:
            continue
        others = [results.get(other) for other in ("map", "TFDS")]
        table.add_row(
            name,
            spread([turn.value / turn.seconds for turn in result.turns], "{:,.0f}"),
            *[
                spread(ratios(other, result, "seconds"), "{:.2f}") if other else ""
                for other in others
            ],
            f"{_median(turn.processor_seconds / turn.seconds for turn in result.turns):.2f}",
            f"{result.peak_bytes / 1e6:.0f}",
        )
    return table


def build_waiting_table(title: str, results: dict[str, Measured]) -> Table:
    """Lays out medians, and least to most over the rounds."""
    table = Table(title=f"A training step on {title}")
    table.add_column("variant")
    for heading in ("s", "images/s", "waited %", "more than alone %"):
        table.add_column(heading, justify="right")
    alone = results.get("step alone")
    for name in STEPS:
        result = results.get(name)
        if result is None:
            continue
        more = [100 * (ratio - 1) for ratio in ratios(result, alone, "seconds")] if alone else []
        table.add_row(
            name,
            f"{_median(turn.seconds for turn in result.turns):.4f}",
            f"{256 / _median(turn.seconds for turn in result.turns):,.0f}",
            spread([100 * turn.value / turn.seconds for turn in result.turns], "{:.2f}"),
            spread(more, "{:+.1f}") if more else "",
        )
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepares, measures, prints the tables and writes all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        help="each a .zip or a folder of images of one size; without it those of CIFAR-10 and "
        "Imagenette from the shared data (TWOFOLD_SHARED_DATA), or where there are none generated "
        "ones",
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each variant")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--only", nargs="+", choices=READERS + STEPS, help="these variants only")
    parser.add_argument("--output", type=Path, help="a JSON file to write every figure to")
    parser.add_argument("--folder", type=Path, help="where to work; else among temporary files")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, received {options.rounds}")

    console = Console(width=150)
    facts = machine()
    console.print(", ".join(f"{name}: {value}" for name, value in facts.items()))
    names = options.only or READERS + STEPS
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for number, images in enumerate(options.images or _default_images(Path(folder))):
            work = Path(folder) / str(number)
            work.mkdir()
            manifest = _prepare(images, work)
            side = _side(manifest)
            title = (
                f"{manifest.splits['train'].images:,} images of {images.parent.name}/{images.name} "
                f"at {side} pixels, batches of 256, {options.rounds} rounds"
            )
            results: dict[str, Measured] = {}
            for group in (READERS, STEPS):
                some = [name for name in group if name in names]
                results |= measure(
                    work / "dataset", work / "cache", side, some, options.rounds, options.seconds
                )
            if set(names) & set(READERS):
                console.print(build_reading_table(title, results))
            if set(names) & set(STEPS):
                console.print(build_waiting_table(title, results))
            variants = {name: dataclasses.asdict(one) for name, one in results.items()}
            figures.append({"images": title, "side": side, "variants": variants})
    if options.output:
        written = {"machine": facts, "load afterwards": list(os.getloadavg()), "sizes": figures}
        options.output.write_text(json.dumps(written, indent=2) + "\n")


def _prepare(images: Path, work: Path) -> Manifest:
    dataset = work / "dataset"
    watch("tests.benchmarks.preparers", ["ours", str(images), str(dataset)], work)
    return load_manifest(dataset)


def _side(manifest: Manifest) -> int:
    sizes = [tuple(map(int, size.split("x"))) for size in manifest.image_sizes]
    if len(sizes) != 1 or sizes[0][0] != sizes[0][1]:
        raise SystemExit(f"expected square images of one size, found {', '.join(map(str, sizes))}")
    return sizes[0][0]


def _default_images(folder: Path) -> list[Path]:
    found = [path for path in (shared(CIFAR), shared(IMAGENETTE)) if path is not None]
    return found or [
        write_generated(folder / f"generated-{side}.zip", count, side) for side, count in _GENERATED
    ]


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    main()
