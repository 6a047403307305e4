"""Reconstructions picture: chosen held-out images, and what a run's decoder makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twofold.components import files
from twofold.components.data.reading.split import Split
from twofold.components.data.store.manifest import load_manifest
from twofold.components.errors import UsageError
from twofold.components.evaluation.plots.run_plots import plot_views
from twofold.components.methods.settings import METHODS
from twofold.components.training.resuming.weights_files import read_final
from twofold.pipeline.config import parse_config
from twofold.pipeline.models.method_builder import build_method
from twofold.pipeline.runs.record_format import RECORD
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.runs.run_record import read_record
from twofold.pipeline.steps.checks.data_checks import held_out_split
from twofold.pipeline.training import prepared_images as step_images

_PICTURE = "reconstructions"


def picture_reconstructions(run: Path, datasets: str, chosen: Sequence[str], out: Path) -> int:
    """Draws held-out images in a row and their reconstructions below.

    Args:
        run: directory of a run whose pretraining is finished.
        datasets: where its data set is looked for.
        chosen: keys of images, or their numbers in the held-out split from 0 on; empty: the first
            ten.
        out: the PNG file to write.

    Returns:
        How many images are in the picture.

    Raises:
        UsageError: if the run's method rebuilds no images, or there is no such image.
        CheckpointError: if its pretraining is not finished.
        DataError: if its data set is not there.

    """
    record = read_record(run)
    config = parse_config(record.configuration, str(record.path / RECORD), recorded=True)
    if _PICTURE not in config.method.figures:
        known = ", ".join(name for name in METHODS if _PICTURE in METHODS[name].figures)
        raise UsageError(
            f"{run}: method.name={config.method.name} rebuilds no images: expected a run of {known}"
        )
    if record.dataset is None:
        raise UsageError(f"{run} has prepared no images: expected a run that is finished")
    manifest = load_manifest(files.join(datasets, record.dataset))
    context = Context(
        config=config,
        run=RunDirectory(record.path, config, {}, update=True),
        datasets=datasets,
        beam_options=(),
        progress=no_progress,
        say=lambda line: None,
    )
    split = step_images.load(context, manifest, held_out_split(manifest), cache="off")
    rows = _rows(split, chosen or [str(number) for number in range(min(10, len(split.keys)))])
    height, width, channels = split.images.shape[1:]
    shape = (height, width, channels)
    method = build_method(config, shape, max(1, len(manifest.class_names)), steps=1)
    read_final(record.path / "checkpoints", method.models)
    picture = method.pictures(np.asarray(split.images[rows]))[_PICTURE]
    if picture.originals is not None:
        plot_views(picture.originals, picture.images[None], out, name=picture.name)
    return len(rows)


def _rows(split: Split, chosen: Sequence[str]) -> np.ndarray:
    keys = {str(key): row for row, key in enumerate(split.keys.tolist())}
    rows = []
    for one in chosen:
        row = keys.get(one, int(one) if one.isdecimal() else -1)
        if not 0 <= row < len(keys):
            raise UsageError(
                f"--image {one}: the split {split.name} has no such image: expected a number below "
                f"{len(keys)}, or a key such as {next(iter(keys))}"
            )
        rows.append(row)
    return np.array(rows)
