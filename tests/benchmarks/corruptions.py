"""Times the common corruptions, one after the other, on one core as far as NumPy lets it.

    make benchmark-corruptions
    python -m tests.benchmarks.corruptions --images 64 --rounds 5 --output corruptions.json

The images are generated. Each corruption takes turns of all five severities, round by round; the
figures are medians over the rounds, of images that are corrupted once a second. The last row is an
evaluation of the 15 main corruptions at 5 severities: held-out images a second, of which each is
corrupted 75 times.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.benchmarks.train_step import machine
from twofold.components.transforms.corruptions.common_corruptions import (
    CORRUPTIONS,
    MAIN,
    SEVERITIES,
    corrupt,
)

SIDES = (32, 96)


def generate(images: int, side: int) -> np.ndarray:
    """Gives images of smooth noise, uint8 [images, side, side, 3]."""
    coarse = np.random.default_rng(0).uniform(0, 255, (images, 8, 8, 3))
    return coarse.repeat(side // 8, axis=1).repeat(side // 8, axis=2).astype(np.uint8)


def measure(images: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Gives each corruption's seconds an image and severity, by round."""
    key_hashes = np.arange(len(images))
    seconds: dict[str, list[float]] = {name: [] for name in CORRUPTIONS}
    for _ in range(rounds):
        for name, measured in seconds.items():
            start = time.perf_counter()
            for severity in SEVERITIES:
                corrupt(images, name, severity, seed=0, key_hashes=key_hashes)
            measured.append((time.perf_counter() - start) / len(images) / len(SEVERITIES))
    return seconds


def build_table(results: dict[int, dict[str, list[float]]]) -> Table:
    """Lays out images a second, medians over the rounds."""
    table = Table(title="Corruptions, images a second")
    table.add_column("corruption")
    for side in results:
        table.add_column(f"{side} pixels", justify="right")
    for name in CORRUPTIONS:
        rates = [1 / statistics.median(one[name]) for one in results.values()]
        table.add_row(name, *(f"{rate:,.0f}" for rate in rates))
    totals = [
        sum(statistics.median(one[name]) for name in MAIN) * len(SEVERITIES)
        for one in results.values()
    ]
    table.add_row("all of an evaluation", *(f"{1 / total:,.1f}" for total in totals))
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints the table and writes all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256, help="of 32 pixels; a ninth of 96")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="a JSON file to write every figure to")
    options = parser.parse_args(arguments)
    if options.images < 1 or options.rounds < 1:
        parser.error("--images and --rounds must be at least 1")

    console = Console(width=100)
    facts = machine()
    console.print(", ".join(f"{name}: {value}" for name, value in facts.items()))
    results = {
        side: measure(generate(-(-options.images * SIDES[0] ** 2 // side**2), side), options.rounds)
        for side in SIDES
    }
    console.print(build_table(results))
    if options.output:
        written = {"machine": facts, "load afterwards": list(os.getloadavg()), "seconds": results}
        options.output.write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
