"""Peak rates of GPUs, and the arithmetic that a network's training takes."""

from __future__ import annotations

import math

import keras

# Dense TFLOP/s by NVIDIA's data sheets: in float32 as TensorFlow computes it, on tensor cores as
# TF32 where there are some for it, and in bfloat16. The longest name that occurs counts.
_PEAKS = {
    "H200": (494.7, 989.4),
    "H100": (494.7, 989.4),
    "H100 PCIe": (378.0, 756.0),
    "A100": (156.0, 312.0),
    "L40S": (183.0, 362.0),
    "L4": (60.0, 121.0),
}


def peak_flops(device: str, precision: str) -> float | None:
    """Returns a GPU's peak rate in floating-point operations a second.

    Args:
        device: its name, such as "NVIDIA H100 80GB HBM3".
        precision: "float32" or "bfloat16".

    Returns:
        None for a device that the list does not have.

    """
    words = device.split()
    known = [name for name in _PEAKS if set(name.split()) <= set(words)]
    if not known:
        return None
    return 1e12 * _PEAKS[max(known, key=len)][("float32", "bfloat16").index(precision)]


def forward_flops(model: keras.Model) -> int:
    """Counts the operations of one image's way through a network's convolutions and dense layers.

    A multiplication and an addition are two. What else a network does is left out, so that the
    share of the peak is, if anything, too low.
    """
    total = 0
    for layer in model._flatten_layers(include_self=False):
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            # A dense layer has one position.
            positions = math.prod(layer.output.shape[1:-1])
            total += 2 * math.prod(kernel.shape) * positions
    return total
