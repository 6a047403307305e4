"""Export formats: files of a finished encoder for other runtimes."""

from __future__ import annotations

import dataclasses
import shutil
from typing import Any

import keras
import numpy as np

from twofold.components.data.reading.split import Split
from twofold.components.errors import ConversionError
from twofold.components.export.convert.conversion import Converted, convert
from twofold.components.export.convert.convert_keras import save_keras
from twofold.components.export.saved_model.classifier_heads import Head, LinearHead
from twofold.pipeline.runs.run_context import Context

FOLDER = "runtimes"


def write_formats(
    context: Context,
    details: dict[str, Any],
    encoder: keras.Model,
    head: Head | None,
    held_out: Split,
) -> dict[str, float]:
    """Converts the proven ``saved_model/1`` to what ``export.formats`` asks for.

    Args:
        context: of the run.
        details: takes what is known of each file.
        encoder: in float32.
        head: what goes into the files, if it is linear.
        held_out: its first images are what files are compared on, the next what int8 is set by.

    Returns:
        Metrics by name, ``export/<format>/<measure>``.

    Raises:
        ConversionError: if a file cannot be made, or does not answer as the SavedModel does.

    """
    config, path = context.config.export, context.run.path
    formats = [name for name in config.formats if name != "saved_model"]
    # Files of an earlier model would not be those of this one.
    shutil.rmtree(path / FOLDER, ignore_errors=True)
    if not formats:
        return {}
    compared = min(config.converted_images, len(held_out.images))
    images = np.asarray(held_out.images[:compared])
    calibration = np.asarray(held_out.images[compared : compared + config.calibration_images])
    linear = head if isinstance(head, LinearHead) and head.encoder is None else None
    labels = held_out.labels[:compared]
    written: list[Converted] = []
    others = [name for name in formats if name != "keras"]
    try:
        if others:
            written += convert(
                path / "saved_model" / "1",
                others,
                path / FOLDER,
                images,
                labels=labels if linear is not None and (labels >= 0).all() else None,
                head=linear,
                # Few held-out images have to do for both.
                calibration_images=calibration if len(calibration) else images,
            )
        if "keras" in formats:
            written += save_keras(encoder, path / FOLDER, images)
    except ConversionError as error:
        shutil.rmtree(path / FOLDER, ignore_errors=True)
        raise ConversionError(
            f"{error}; no file is left beside saved_model/1, which is proven: leave the format out "
            f"of --format ({','.join(config.formats)}) to have the others"
        ) from error
    details["formats"] = [
        {**dataclasses.asdict(one), "path": one.path.relative_to(path).as_posix()}
        for one in written
    ]
    metrics = {}
    for one in written:
        metrics[f"export/{one.format}/bytes"] = float(one.bytes)
        metrics[f"export/{one.format}/max_difference"] = one.largest_difference
        if one.accuracy is not None and one.accuracy_drop is not None:
            metrics[f"export/{one.format}/accuracy"] = one.accuracy
            metrics[f"export/{one.format}/accuracy_drop"] = one.accuracy_drop
    return metrics
