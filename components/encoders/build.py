"""Encoders built from their settings."""

from __future__ import annotations

from collections.abc import Callable

import keras

from twofold.components.encoders.settings import ENCODERS
from twofold.components.errors import SettingsError


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
    return build(image_shape, seed=seed, **defaults | settings)
