"""Keras files of an encoder, for those who go on in Keras: fine-tune it, or build on it."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from twofold.components import files
from twofold.components.encoders.layers.normalisation import BatchNormalization, as_keras_layer
from twofold.components.errors import ConversionError, DataError
from twofold.components.export.convert import convert_process
from twofold.components.export.convert.compare_outputs import Tolerances, judge
from twofold.components.export.convert.conversion import Converted, version

MODEL, WEIGHTS = "encoder.keras", "encoder.weights.h5"
_BATCH = 64


def save_keras(encoder: keras.Model, out_dir: Path, sample_images: np.ndarray) -> list[Converted]:
    """Saves an encoder as ``encoder.keras`` and its weights as ``encoder.weights.h5``.

    Both take float32 [B, H, W, C] in [0, 1], as the encoder does and other than converted files,
    which divide by 255 themselves. A fresh process that knows Keras alone loads both, the weights
    into a model made of the configuration, and must give the encoder's features on the sample.
    Both files are published then, or neither.

    Args:
        encoder: float32 [B, H, W, C] in [0, 1] to features [B, D].
        out_dir: where the files go; created.
        sample_images: uint8 [N, H, W, C], what is compared.

    Raises:
        ConversionError: if the encoder has layers of this project, or the files do not load or not
            answer as the encoder does.
        DataError: if the images are not of the encoder's size.

    """
    own = sorted(
        {
            type(layer).__name__
            for layer in encoder.layers
            if not isinstance(layer, BatchNormalization)
            and not type(layer).__module__.startswith("keras.")
        }
    )
    if own:
        raise ConversionError(
            f"{MODEL}: the encoder {encoder.name} has layers that Keras alone does not know: "
            f"{', '.join(own)}"
        )
    shape = tuple(encoder.input_shape[1:])
    if sample_images.dtype != np.uint8 or sample_images.shape[1:] != shape:
        raise DataError(
            f"sample_images must be uint8 [N, {', '.join(map(str, shape))}], received "
            f"{sample_images.dtype} {list(sample_images.shape)}"
        )
    features = _features(encoder, sample_images)
    plain = _of_keras_alone(encoder)
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=out_dir) as name:
        folder = Path(name)
        with warnings.catch_warnings():
            # Keras's variables do not know what NumPy 2 asks of arrays; what is written is read
            # back below.
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            plain.save(folder / MODEL)
            plain.save_weights(folder / WEIGHTS)
        answers = convert_process.answer(__name__, folder, MODEL, sample_images)
        converted = []
        for key, file in (("keras", MODEL), ("keras_weights", WEIGHTS)):
            measured = judge(
                file,
                {"embedding": features},
                {"embedding": answers[key]},
                None,
                Tolerances(),
                quantised=False,
            )
            converted.append(
                Converted(
                    format=key,
                    path=out_dir / file,
                    bytes=(folder / file).stat().st_size,
                    **dataclasses.asdict(measured),
                    images=len(sample_images),
                    converter_version=version("keras"),
                    runtime_version=version("keras"),
                )
            )
        for file in (MODEL, WEIGHTS):
            files.move_file(folder / file, out_dir / file)
    return converted


def _of_keras_alone(encoder: keras.Model) -> keras.Model:
    """Copies an encoder with batch normalisation as Keras has it."""

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, BatchNormalization):
            return as_keras_layer(layer)
        return layer.__class__.from_config(layer.get_config())

    plain = keras.models.clone_model(encoder, clone_function=copied)
    plain.set_weights(encoder.get_weights())
    return plain


def answer(file: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """Runs both files on images uint8 [N, H, W, C]: the model, and another with the weights."""
    return {key: _features(model, images) for key, model in _loaded(file).items()}


@functools.cache
def _loaded(file: Path) -> dict[str, Any]:
    try:
        model = keras.saving.load_model(file, compile=False)
    except TypeError as error:
        # Keras puts the whole configuration before what is wrong.
        cause = str(error).rpartition("Exception encountered: ")[2]
        raise ConversionError(f"Keras does not load it: {' '.join(cause.split())}") from None
    bare = model.__class__.from_config(model.get_config())
    bare.load_weights(file.with_name(WEIGHTS))
    return {"keras": model, "keras_weights": bare}


def _features(model: keras.Model, images: np.ndarray) -> np.ndarray:
    parts = [
        np.asarray(
            model(images[start : start + _BATCH].astype(np.float32) / 255, training=False),
            np.float32,
        )
        for start in range(0, len(images), _BATCH)
    ]
    return np.concatenate(parts)
