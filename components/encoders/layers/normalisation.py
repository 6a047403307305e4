"""Batch normalisation as the references have it, in one place for encoders, heads and decoders."""

from __future__ import annotations

import keras

from twofold.components.encoders.layers.blocks import in_block


def batch_normalization(
    name: str, *, affine: bool = True, block: str | None = None
) -> keras.layers.BatchNormalization:
    """Makes a batch normalisation whose statistics run over the global batch on any replicas.

    Momentum is 0.9 and epsilon 1e-5, as in the reference implementations (Keras's defaults are 0.99
    and 1e-3). Statistics are float32 or wider, whatever the compute dtype.

    Args:
        name: name of the layer.
        affine: whether it has a scale and an offset.
        block: see ``in_block``; its own name by default.

    """
    layer = keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, center=affine, scale=affine, synchronized=True, name=name
    )
    return in_block(block or name, layer)
