"""Projectors, predictors and other heads on top of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import keras

from twofold.components.encoders.layers.initializers import Initializer
from twofold.components.encoders.layers.normalisation import (
    NormalizationMaker,
    batch_normalizations,
)
from twofold.components.errors import SettingsError

OutputNorm = Literal["none", "plain", "affine"]


def build_projector(
    features: int,
    *,
    seed: int,
    units: Sequence[int] = (),
    batch_norm: bool = False,
    output_norm: OutputNorm = "none",
    initializer: str = "keras",
    batch_norm_momentum: float = 0.9,
    batch_norm_epsilon: float = 1e-5,
) -> keras.Model:
    """Builds the projector of a self-supervised method: Dense layers with ReLU between them.

    Args:
        features: D, the width of what the encoder gives.
        seed: seed of the initial weights.
        units: width of each layer; empty for the identity projector of recipe E, (128, 128) for
            recipe A's, (5000, 5000, 5000) for recipe C's.
        batch_norm: whether a batch normalisation stands before each ReLU, as in Barlow Twins,
            VICReg, BYOL and SimSiam.
        output_norm: how the projections are batch-normalised, too: "none", not at all; "plain",
            without scale or offset, as in SimSiam; "affine", with both, as in NNCLR.
        initializer: see ``twofold.components.encoders.layers.initializers``.
        batch_norm_momentum: see ``batch_normalization``.
        batch_norm_epsilon: see ``batch_normalization``.

    Returns:
        A model from [B, D] to projections [B, P] of the compute dtype.

    """
    # Seeds apart from the encoder's, or the first layers of both would start alike.
    initial = Initializer(initializer, seed + 500_000)
    norm = batch_normalizations(batch_norm_momentum, batch_norm_epsilon)
    inputs = keras.Input((features,), name="features")
    x = _perceptron(inputs, units, initial, norm if batch_norm else None)
    if output_norm != "none":
        x = norm("output_norm", affine=output_norm == "affine")(x)
    return keras.Model(inputs, x, name="projector")


def build_predictor(
    projections: int,
    *,
    seed: int,
    units: Sequence[int],
    batch_norm: bool = True,
    initializer: str = "keras",
    batch_norm_momentum: float = 0.9,
    batch_norm_epsilon: float = 1e-5,
) -> keras.Model:
    """Builds the predictor of BYOL and SimSiam, which NNCLR calls a prediction head.

    Grill et al. (2020), "Bootstrap Your Own Latent": (4096, 256) on projections of 256; Chen & He
    (2021), "Exploring Simple Siamese Representation Learning": (512, 2048) on projections of 2,048;
    Dwibedi et al. (2021), "With a Little Help from My Friends": (4096, 256) on projections of 256.
    Hidden layers are batch-normalised, predictions are not.

    Args:
        projections: P, the width of what the projector gives.
        seed: seed of the initial weights.
        units: width of each layer; the last is P.
        batch_norm: whether a batch normalisation stands before each ReLU.
        initializer: see ``twofold.components.encoders.layers.initializers``.
        batch_norm_momentum: see ``batch_normalization``.
        batch_norm_epsilon: see ``batch_normalization``.

    Returns:
        A model from projections [B, P] to predictions [B, P] of the compute dtype.

    Raises:
        SettingsError: if the predictions would not be as wide as the projections that they predict.

    """
    if not units or units[-1] != projections:
        raise SettingsError(
            f"the last of the predictor's units must be the width of the projections, "
            f"{projections}, received units {tuple(units)}"
        )
    initial = Initializer(initializer, seed + 600_000)
    norm = batch_normalizations(batch_norm_momentum, batch_norm_epsilon)
    inputs = keras.Input((projections,), name="projections")
    x = _perceptron(inputs, units, initial, norm if batch_norm else None)
    return keras.Model(inputs, x, name="predictor")


def build_gaussian_head(
    features: int,
    *,
    seed: int,
    units: int,
    initializer: str = "pytorch",
    batch_norm_momentum: float = 0.9,
    batch_norm_epsilon: float = 1e-5,
) -> keras.Model:
    """Builds heads for a normal code on top of an encoder: each Dense, ReLU, BN.

    Mean and log-variance are rectified and then normalised over the batch, without scale or offset,
    as in recipe E, where the mean's is the encoder's own last layer (``build_log_variance_head``).

    Args:
        features: D, the width of what the encoder gives.
        seed: seed of the initial weights.
        units: L, the width of the code.
        initializer: see ``twofold.components.encoders.layers.initializers``.
        batch_norm_momentum: see ``batch_normalization``.
        batch_norm_epsilon: see ``batch_normalization``.

    Returns:
        A model from [B, D] to the list of mean and log-variance, each [B, L] of the compute dtype.

    """
    initial = Initializer(initializer, seed + 700_000)
    norm = batch_normalizations(batch_norm_momentum, batch_norm_epsilon)
    inputs = keras.Input((features,), name="features")
    outputs = [
        _rectified_and_normalised(inputs, units, initial, norm, name)
        for name in ("mean", "log_variance")
    ]
    return keras.Model(inputs, outputs, name="gaussian_head")


def build_log_variance_head(
    width: int,
    *,
    seed: int,
    units: int,
    initializer: str = "pytorch",
    batch_norm_momentum: float = 0.9,
    batch_norm_epsilon: float = 1e-5,
) -> keras.Model:
    """Builds the second head of recipe E's variational autoencoder: Dense, ReLU, BN.

    It stands beside the last dense layer of the encoder, which is the mean's head, and reads what
    that reads.

    Args:
        width: of what both read.
        seed: seed of the initial weights.
        units: L, the width of the code.
        initializer: see ``twofold.components.encoders.layers.initializers``.
        batch_norm_momentum: see ``batch_normalization``.
        batch_norm_epsilon: see ``batch_normalization``.

    Returns:
        A model from [B, width] to the log-variance [B, L] of the compute dtype.

    """
    initial = Initializer(initializer, seed + 700_000)
    norm = batch_normalizations(batch_norm_momentum, batch_norm_epsilon)
    inputs = keras.Input((width,), name="hidden")
    outputs = _rectified_and_normalised(inputs, units, initial, norm, "log_variance")
    return keras.Model(inputs, outputs, name="log_variance_head")


def build_linear_head(
    features: int, classes: int, *, seed: int, initializer: str = "keras"
) -> keras.Model:
    """Builds one Dense layer from features [B, D] to logits [B, classes].

    Args:
        features: D, the width of what the encoder gives.
        classes: how many.
        seed: seed of the initial weights.
        initializer: see ``twofold.components.encoders.layers.initializers``.

    """
    initial = Initializer(initializer, seed + 900_000)
    inputs = keras.Input((features,), name="features")
    logits = keras.layers.Dense(classes, name="logits", **initial.arguments(features))(inputs)
    return keras.Model(inputs, logits, name="linear_head")


def _rectified_and_normalised(
    x: keras.KerasTensor, units: int, initial: Initializer, norm: NormalizationMaker, name: str
) -> keras.KerasTensor:
    layer = keras.layers.Dense(
        units, activation="relu", name=f"{name}_dense", **initial.arguments(x.shape[-1])
    )
    return norm(f"{name}_norm", affine=False)(layer(x))


def _perceptron(
    x: keras.KerasTensor,
    units: Sequence[int],
    initial: Initializer,
    norm: NormalizationMaker | None,
) -> keras.KerasTensor:
    if not units:
        return keras.layers.Identity(name="identity")(x)
    for index, count in enumerate(units):
        hidden = index < len(units) - 1
        x = keras.layers.Dense(
            count,
            activation="relu" if hidden and norm is None else None,
            name=f"dense{index}",
            **initial.arguments(x.shape[-1]),
        )(x)
        if hidden and norm is not None:
            x = keras.layers.ReLU()(norm(f"dense{index}_norm")(x))
    return x
