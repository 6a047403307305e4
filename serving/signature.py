"""Signature of a SavedModel: what it takes and gives, and whether a request's arrays fit it.

The check comes before the model because TensorFlow does not always survive a misfit: a tensor of
the wrong rank can abort the whole process instead of raising an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from twofold.serving.status_codes import invalid_argument

DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of a signature.

    Attributes:
        name: the key that requests and answers use.
        dtype: TensorFlow's name of the element type, such as `uint8`, `float32`, `string`.
        shape: the sizes, None where any size goes; None as a whole when the rank is free too.

    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def accepts_dtype(self, array: np.ndarray) -> bool:
        """Whether the array's element type is this tensor's; strings are object arrays of bytes."""
        if self.dtype == "string":
            return array.dtype == np.object_
        return array.dtype.name == self.dtype

    def accepts_shape(self, array: np.ndarray) -> bool:
        """Whether the array's shape is one that this tensor may have."""
        if self.shape is None:
            return True
        return len(self.shape) == array.ndim and all(
            declared is None or declared == given
            for declared, given in zip(self.shape, array.shape, strict=True)
        )


@dataclass(frozen=True)
class Signature:
    """A named function of the model: its inputs and outputs by name."""

    name: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]

    def check(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raise INVALID_ARGUMENT unless the arrays are exactly this signature's inputs.

        Args:
            arrays: one array for each input name.

        Raises:
            ServingError: an input is missing or unknown, or an array has the wrong dtype or shape.

        """
        missing = sorted(self.inputs.keys() - arrays.keys())
        extra = sorted(arrays.keys() - self.inputs.keys())
        if missing or extra:
            raise invalid_argument(
                f'Inputs of signature "{self.name}" are {_name_set(sorted(self.inputs))}. '
                f"Sent extra: {_name_set(extra)}. Missing but required: {_name_set(missing)}."
            )
        for name, array in arrays.items():
            info = self.inputs[name]
            if not info.accepts_dtype(array):
                given = "string" if array.dtype == np.object_ else array.dtype.name
                raise invalid_argument(
                    f'Input "{name}" of signature "{self.name}" has type {given}, '
                    f"expected {info.dtype}"
                )
            if not info.accepts_shape(array):
                raise invalid_argument(
                    f'Input "{name}" of signature "{self.name}" has shape '
                    f"{shape_text(array.shape)}, expected {shape_text(info.shape)}"
                )


def shape_text(shape: tuple[int | None, ...] | None) -> str:
    """A shape as TensorFlow prints it: `[?,96,96,3]`, or `<unknown>` where the rank is free."""
    if shape is None:
        return "<unknown>"
    return "[" + ",".join("?" if size is None else str(size) for size in shape) + "]"


def _name_set(names: list[str]) -> str:
    return "{" + ",".join(names) + "}"
