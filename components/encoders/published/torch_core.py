"""Core encoder from PyTorch weights, as the Neuromatch tutorial publishes them (recipe E)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import keras
import numpy as np

from twofold.components.errors import CheckpointError

# Counters, and the second head of a variational autoencoder, which is no part of the encoder.
_PASSED_OVER = ("num_batches_tracked", "linear_projections_logvar.")


def assign_core(encoder: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Gives an encoder ``core`` the weights of the tutorial's network of the same widths.

    Kernels [O, I, h, w] become [h, w, I, O] and matrices [O, I] are transposed; the rows of the
    first dense layer, which PyTorch orders as channel, row, column of the last map, become row,
    column, channel. Moving means and variances of batch normalisation are taken as they are.

    Args:
        encoder: as ``build_core`` builds it.
        arrays: by their names in a state dict: ``feature_extractor.0.weight`` and so on.

    Raises:
        CheckpointError: if an array is missing, of another shape, not finite, or not the encoder's.

    """
    left = {
        name: array
        for name, array in arrays.items()
        if not (name.endswith(_PASSED_OVER[0]) or name.startswith(_PASSED_OVER[1]))
    }
    layers = [*_layers(encoder)]
    names = [f"{torch}.{part}" for _, torch, parts in layers for part in parts]
    missing = [name for name in names if name not in left]
    others = [name for name in left if name not in names]
    if missing or others:
        what = f"there is no {missing[0]}" if missing else f"{others[0]} has no place"
        raise CheckpointError(f"{what}: expected the weights of {_widths(encoder)}")
    for layer, torch, parts in layers:
        found = [left[f"{torch}.{part}"] for part in parts]
        values = [_as_keras(layer, array, encoder) for array in found]
        for part, value, variable in zip(parts, values, layer.variables, strict=True):
            if value is None or value.shape != tuple(variable.shape):
                raise CheckpointError(
                    f"{torch}.{part}: received shape {left[f'{torch}.{part}'].shape}: expected the "
                    f"weights of {_widths(encoder)}"
                )
            if not np.isfinite(value).all() or (part == "running_var" and value.min() < 0):
                raise CheckpointError(f"{torch}.{part}: expected finite weights")
        layer.set_weights(values)


def _layers(encoder: keras.Model) -> Iterator[tuple[keras.layers.Layer, str, tuple[str, str]]]:
    """Gives each layer that has weights, its name in PyTorch, and there the names of its parts."""
    layers = [layer for layer in encoder.layers if layer.variables]
    convolutions = sum(isinstance(layer, keras.layers.Conv2D) for layer in layers)
    dense = sum(isinstance(layer, keras.layers.Dense) for layer in layers)
    for position, layer in enumerate(layers):
        block, is_norm = divmod(position, 2)
        if block < convolutions:
            name = f"feature_extractor.{4 * block + 3 * is_norm}"
        elif block < convolutions + dense - 1:
            name = f"linear_projections.{3 * (block - convolutions) + 2 * is_norm}"
        else:
            name = f"linear_projections_output.{2 * is_norm}"
        yield layer, name, ("running_mean", "running_var") if is_norm else ("weight", "bias")


def _as_keras(
    layer: keras.layers.Layer, array: np.ndarray, encoder: keras.Model
) -> np.ndarray | None:
    """Gives an array in Keras's order; None where its shape has no such order."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    if array.ndim != 2:
        return array
    last = next(one for one in encoder.layers if one.name in ("flatten", "average"))
    if last.name == "flatten" and layer.input is last.output:
        height, width, channels = last.input.shape[1:]
        if array.shape[1] != height * width * channels:
            return None
        ordered = array.reshape(-1, channels, height, width).transpose(2, 3, 1, 0)
        return ordered.reshape(-1, array.shape[0])
    return array.T


def _widths(encoder: keras.Model) -> str:
    filters = [one.filters for one in encoder.layers if isinstance(one, keras.layers.Conv2D)]
    units = [one.units for one in encoder.layers if isinstance(one, keras.layers.Dense)]
    shape = "x".join(map(str, encoder.input_shape[1:]))
    return (
        f"the network core with encoder.filters={filters}, encoder.units={units} on images of "
        f"{shape}"
    )
