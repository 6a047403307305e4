"""One way to prepare images, in this process: prints when it was imported and when it was done.

    python -m tests.benchmarks.preparers ours IMAGES OUTPUT

IMAGES is a .zip, a folder, or a number of images to generate.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.inputs import GeneratedSource

Prepare = Callable[[Path, Path], int]

TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


def _ours(beam_options: Sequence[str] = ()) -> Prepare:
    from twofold.components.data.preparation.prepare_dataset import prepare
    from twofold.components.data.sources import build_source

    # As `prepare` would, which leaves it until it is needed.
    importlib.import_module("twofold.components.data.preparation.beam_pipeline")

    def run(images: Path, output: Path) -> int:
        generated = images.name.isdigit()
        source = (
            GeneratedSource(int(images.name))
            if generated
            else build_source("folder", path=str(images))
        )
        manifest = prepare(source, output, name="benchmark", beam_options=beam_options)
        return manifest.counts.written

    return run


def _plain_loop(together: int = 1) -> Prepare:
    from tests.benchmarks.plain_loop import prepare_plainly

    return functools.partial(prepare_plainly, together=together)


def _plain_beam() -> Prepare:
    from tests.benchmarks.plain_beam import prepare_with_plain_beam

    return prepare_with_plain_beam


def _plain_tfds() -> Prepare:
    from tests.benchmarks.plain_tfds import prepare_with_tfds

    return prepare_with_tfds


PREPARERS: dict[str, Callable[[], Prepare]] = {
    "plain loop": _plain_loop,
    "plain loop, by 256": functools.partial(_plain_loop, 256),
    "ours": _ours,
    "ours, 2 processes": functools.partial(_ours, TWO_PROCESSES),
    "plain Beam": _plain_beam,
    "TFDS's writer": _plain_tfds,
}


def main(arguments: Sequence[str]) -> None:
    """Prepares, and prints what the parent process cannot see."""
    name, images, output = arguments
    run = PREPARERS[name]()
    imported = time.monotonic()
    written = run(Path(images), Path(output))
    print(json.dumps({"imported": imported, "done": time.monotonic(), "written": written}))


if __name__ == "__main__":
    main(sys.argv[1:])
