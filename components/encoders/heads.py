"""Projectors and linear heads on top of an encoder."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from components.encoders.initializers import Initializer


def build_projector(
    features: int, *, seed: int, units: Sequence[int] = (), initializer: str = "keras"
) -> keras.Model:
    """Builds the projector of a contrastive method: Dense layers with ReLU between them.

    Args:
        features: D, the width of what the encoder gives.
        seed: seed of the initial weights.
        units: width of each layer; empty for the identity projector of recipe E, (128, 128) for
            recipe A's.
        initializer: see ``components.encoders.initializers``.

    Returns:
        A model from [B, D] to projections [B, P].

    """
    # Seeds apart from the encoder's, or the first layers of both would start alike.
    initial = Initializer(initializer, seed + 500_000)
    inputs = x = keras.Input((features,), name="features")
    for index, count in enumerate(units):
        activation = "relu" if index < len(units) - 1 else None
        arguments = initial.arguments(x.shape[-1])
        x = keras.layers.Dense(count, activation=activation, name=f"dense{index}", **arguments)(x)
    if not units:
        x = keras.layers.Identity(name="identity")(x)
    return keras.Model(inputs, x, name="projector")


def build_linear_head(features: int, classes: int, *, seed: int) -> keras.Model:
    """Builds one Dense layer from features [B, D] to logits [B, classes]."""
    initial = Initializer("keras", seed + 900_000)
    inputs = keras.Input((features,), name="features")
    logits = keras.layers.Dense(classes, name="logits", **initial.arguments(features))(inputs)
    return keras.Model(inputs, logits, name="linear_head")
