"""Encoders built from their settings."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from pathlib import Path

import keras

from twofold.components.encoders.published.torch_file import read_state_dict
from twofold.components.encoders.settings import ENCODERS
from twofold.components.errors import CheckpointError, SettingsError


def build_encoder(
    name: str, image_shape: tuple[int, int, int], *, seed: int, **settings: object
) -> keras.Model:
    """Builds an encoder by its name.

    Args:
        name: of ``ENCODERS``.
        image_shape: (H, W, C) of the input.
        seed: seed of the initial weights.
        **settings: of the encoder; the others keep their defaults.

    Raises:
        SettingsError: if the name is unknown, or the settings do not fit the encoder or the image.

    """
    defaults = ENCODERS.defaults(name)
    for key in settings:
        if key not in defaults:
            raise SettingsError(
                f"the encoder {name} has no setting {key!r}: expected some of {', '.join(defaults)}"
            )
    build: Callable[..., keras.Model] = ENCODERS[name].load_implementation()
    encoder = build(image_shape, seed=seed, **defaults | settings)
    if not isinstance(encoder, keras.Model) or len(encoder.output_shape) != 2:
        made = (
            f"features of shape {encoder.output_shape}"
            if isinstance(encoder, keras.Model)
            else f"an object of type {type(encoder).__name__}"
        )
        raise SettingsError(
            f"encoder.name={name}: {ENCODERS[name].implementation} made {made}, expected a "
            f"keras.Model whose features are [B, D]"
        )
    return encoder


def read_torch_weights(name: str, encoder: keras.Model, path: Path | str) -> None:
    """Gives an encoder the weights of a PyTorch file, by their names.

    Args:
        name: of ``ENCODERS``, by which the encoder was built.
        encoder: its network.
        path: of a state dict (.pth), on a local disk.

    Raises:
        CheckpointError: if the file is damaged, holds anything but tensors, or does not fit.
        SettingsError: if the name is unknown, or the layout of such encoders in PyTorch is.

    """
    if not ENCODERS[name].torch_weights:
        raise SettingsError(f"{path}: the layout of {name} in PyTorch is not known")
    assign = pkgutil.resolve_name(ENCODERS[name].torch_weights)
    arrays = read_state_dict(path)
    try:
        assign(encoder, arrays)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
