"""Blocks of an encoder: the layers that share a learning rate when rates fall with depth."""

from __future__ import annotations

from typing import TypeVar

import keras

L = TypeVar("L", bound=keras.layers.Layer)


def in_block(block: str, layer: L) -> L:
    """Says which block a layer belongs to, as its attribute ``block``.

    A block is what stands or falls together: a convolution or a dense layer with its normalisation,
    the stem, or a residual block with its shortcut. A layer without the attribute is a block of its
    own.

    Args:
        block: its name, the same for all of its layers.
        layer: the layer.

    Returns:
        The layer.

    """
    layer.block = block
    return layer
