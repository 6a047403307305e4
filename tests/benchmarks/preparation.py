"""Measures the preparation of images: its speed beside other ways, or its memory by size.

    make benchmark-preparation
    python -m tests.benchmarks.preparation --images photographs.zip --rounds 5 --output speed.json
    python -m tests.benchmarks.preparation --sizes 10000 100000 1000000

Speed: each way of preparing the images is a whole process, from the source to the finished
dataset; they take turns, round by round, so that a ratio compares runs made within a minute of each
other. Each is run on the first few hundred images, too: what that takes is nearly all start-up
(imports, Beam, workers), and what all images take beyond it gives the steady rate.

The plain loop is one process without Beam that computes the hashes and sums of each image alone;
"by 256" of so many together, much as `prepare` does.

Memory: as many small images as each size says, made up when they are read, go through `prepare` in
one process and with two workers. Memory should hardly grow with them.

The targets: in one process at least 0.9 times the plain loop's steady rate and 2.5 times plain
Beam's, with two processes at least 1.5 times the plain loop's.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.inputs import CIFAR, list_images, shared, write_first, write_generated
from tests.benchmarks.preparers import PREPARERS
from tests.benchmarks.train_step import machine, spread
from tests.benchmarks.watch import MonitoredMetric, disk_bytes, watch

_FEW = 256
_GENERATED, _GENERATED_SIDE = 10_000, 32
_SMALLEST_WORKER = 16 << 20
_PLAIN = ("plain loop", "plain loop, by 256", "plain Beam")
_OURS = ("ours", "ours, 2 processes")


@dataclasses.dataclass(frozen=True)
class Run:
    """One preparation.

    Attributes:
        images: how many were written.
        seconds: of the whole process.
        import_seconds: of these, until everything was imported.
        processor_seconds: that it and its workers computed.
        peak_bytes: resident memory of the process at its peak, with the files that it maps.
        peak_own_bytes: the same without files.
        worker_peak_bytes: resident memory at its peak of each worker that it started.
        peak_disk_bytes: of the folder it worked in, at its peak.
        disk_bytes: of the dataset.

    """

    images: int
    seconds: float
    import_seconds: float
    processor_seconds: float
    peak_bytes: int
    peak_own_bytes: int
    worker_peak_bytes: list[int]
    peak_disk_bytes: int
    disk_bytes: int


@dataclasses.dataclass(frozen=True)
class Round:
    """A turn of one way of preparing: the few images, and all."""

    few: Run
    full: Run

    @property
    def rate(self) -> float:
        """Images a second of the whole process."""
        return self.full.images / self.full.seconds

    @property
    def steady_rate(self) -> float:
        """Images a second beyond start-up."""
        images = self.full.images - self.few.images
        return images / (self.full.seconds - self.few.seconds)

    @property
    def processor_rate(self) -> float:
        """Images a second of a processor, beyond start-up."""
        images = self.full.images - self.few.images
        return images / (self.full.processor_seconds - self.few.processor_seconds)


def run(name: str, images: Path | str, folder: Path) -> Run:
    """Prepares in a process of its own, in a new folder that is removed."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        output = Path(work) / "dataset"
        watched = watch("tests.benchmarks.preparers", [name, str(images), str(output)], Path(work))
        return _describe(watched, output)


def _describe(watched: MonitoredMetric, output: Path) -> Run:
    said = json.loads(watched.output.splitlines()[-1])
    return Run(
        images=said["written"],
        seconds=watched.seconds,
        import_seconds=said["imported"] - watched.started,
        processor_seconds=watched.processor_seconds,
        peak_bytes=watched.main.peak_bytes,
        peak_own_bytes=watched.main.peak_own_bytes,
        # Beam starts each through a shell.
        worker_peak_bytes=[
            one.peak_bytes for one in watched.workers if one.peak_bytes > _SMALLEST_WORKER
        ],
        peak_disk_bytes=watched.peak_disk_bytes,
        disk_bytes=disk_bytes(output),
    )


def compare(
    images: Path, names: Sequence[str], rounds: int, folder: Path
) -> dict[str, list[Round]]:
    """Lets the ways of preparing take turns."""
    few = write_first(images, folder / "few.zip", _FEW)
    found: dict[str, list[Round]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(Round(run(name, few, folder), run(name, images, folder)))
    return found


def build_speed_table(title: str, results: dict[str, list[Round]]) -> Table:
    """Lays out the medians over the rounds."""
    table = Table(
        title=f"Preparing {title}, {len(next(iter(results.values())))} rounds",
        caption=f"start: the process over {_FEW} images, of which until all is imported; steady: "
        "beyond the start; cpu: by the seconds that all its processes computed",
    )
    columns: dict[str, tuple[str, Callable[[Round], float]]] = {
        "s": ("{:.2f}", lambda one: one.full.seconds),
        "cpu s": ("{:.2f}", lambda one: one.full.processor_seconds),
        "start s": ("{:.2f}", lambda one: one.few.seconds),
        "import s": ("{:.2f}", lambda one: one.few.import_seconds),
        "images/s": ("{:,.0f}", lambda one: one.rate),
        "steady images/s": ("{:,.0f}", lambda one: one.steady_rate),
        "steady images/cpu s": ("{:,.0f}", lambda one: one.processor_rate),
        "peak MB": ("{:,.0f}", lambda one: one.full.peak_bytes / 1e6),
        "workers' MB": ("{:,.0f}", lambda one: sum(one.full.worker_peak_bytes) / 1e6),
        "dataset MB": ("{:,.0f}", lambda one: one.full.disk_bytes / 1e6),
    }
    table.add_column("variant")
    for heading in columns:
        table.add_column(heading, justify="right")
    for name, rounds in results.items():
        medians = [
            form.format(statistics.median(map(value, rounds))) for form, value in columns.values()
        ]
        table.add_row(name, *medians)
    return table


def build_ratio_table(results: dict[str, list[Round]]) -> Table:
    """Lays out how much faster than the plain ways: the median, and least to most over rounds."""
    table = Table(title="Images a second against the plain ways, round by round")
    table.add_column("variant")
    table.add_column("of")
    compared = [name for name in _PLAIN if name in results]
    for name in compared:
        table.add_column(f"x {name}", justify="right")
    kinds = {"the whole": "rate", "steady": "steady_rate", "steady, cpu": "processor_rate"}
    for name, rounds in results.items():
        for kind, rate in kinds.items():
            pairs = [zip(rounds, results[other], strict=True) for other in compared]
            ratios = [[getattr(a, rate) / getattr(b, rate) for a, b in some] for some in pairs]
            last = kind == "steady, cpu"
            cells = (spread(some, "{:.2f}") for some in ratios)
            table.add_row(name, kind, *cells, end_section=last)
    return table


def build_memory_table(results: dict[str, list[Run]]) -> Table:
    """Lays out what each size took, and what each image beyond the smallest size added."""
    table = Table(
        title="Preparing generated images",
        caption="MB resident at the peak, own: without mapped files; bytes an image: what the size "
        "took over the smallest, of own memory; disk: at the peak, and of the dataset",
    )
    table.add_column("variant")
    headings = ("images", "s", "images/s", "MB", "own MB", "own bytes an image", "workers' MB")
    for heading in (*headings, "disk MB", "dataset MB"):
        table.add_column(heading, justify="right")
    for name, runs in results.items():
        for each in runs:
            more = each.images - runs[0].images
            grown = each.peak_own_bytes - runs[0].peak_own_bytes
            table.add_row(
                name,
                f"{each.images:,}",
                f"{each.seconds:.1f}",
                f"{each.images / each.seconds:,.0f}",
                f"{each.peak_bytes / 1e6:.0f}",
                f"{each.peak_own_bytes / 1e6:.0f}",
                f"{grown / more:+.0f}" if more else "",
                " ".join(f"{one / 1e6:.0f}" for one in sorted(each.worker_peak_bytes)),
                f"{each.peak_disk_bytes / 1e6:.0f}",
                f"{each.disk_bytes / 1e6:.0f}",
            )
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints the table and writes all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--images",
        type=Path,
        help="a .zip or a folder of images; without it those of CIFAR-10 from the shared data "
        "(TWOFOLD_SHARED_DATA), or where there are none generated ones",
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of each variant")
    parser.add_argument("--only", nargs="+", choices=list(PREPARERS), help="these variants only")
    parser.add_argument(
        "--sizes", type=int, nargs="+", help="measure memory with so many generated images instead"
    )
    parser.add_argument("--output", type=Path, help="a JSON file to write every figure to")
    parser.add_argument("--folder", type=Path, help="where to work; else among temporary files")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, received {options.rounds}")
    names = options.only or (list(_OURS) if options.sizes else list(PREPARERS))
    if options.sizes and not set(names) <= set(_OURS):
        parser.error(f"--sizes measures {' and '.join(map(repr, _OURS))} alone")

    console = Console(width=150)
    facts = {**machine(), **_versions()}
    console.print(", ".join(f"{name}: {value}" for name, value in facts.items()))
    work = Path(tempfile.mkdtemp(dir=options.folder))
    figures: dict[str, Any] = {"machine": facts}
    try:
        if options.sizes:
            memory = {
                name: [run(name, str(size), work) for size in options.sizes] for name in names
            }
            console.print(build_memory_table(memory))
            figures["memory"] = _plain(memory)
        else:
            images, title = _choose(options.images, work)
            speed = compare(images, names, options.rounds, work)
            console.print(build_speed_table(title, speed))
            console.print(build_ratio_table(speed))
            figures["images"] = title
            figures["speed"] = _plain(speed)
    finally:
        shutil.rmtree(work)
    figures["load afterwards"] = list(os.getloadavg())
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


def _choose(given: Path | None, work: Path) -> tuple[Path, str]:
    """The images, and what to call them."""
    images = given or shared(CIFAR)
    if images is None:
        images = write_generated(work / "generated.zip", _GENERATED, _GENERATED_SIDE)
    return images, f"{len(list_images(images)):,} images of {images.parent.name}/{images.name}"


def _versions() -> dict[str, str]:
    names = ("apache-beam", "tensorflow-datasets", "pyarrow", "pillow")
    return {name: importlib.metadata.version(name) for name in names}


def _plain(results: dict[str, list[Any]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [dataclasses.asdict(each) for each in some] for name, some in results.items()}


if __name__ == "__main__":
    main()
