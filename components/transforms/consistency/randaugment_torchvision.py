"""RandAugment: a few operations in a row, each drawn from fourteen, of one common magnitude.

Cubuk, Zoph, Shlens and Le (2020), "RandAugment: Practical automated data augmentation with a
reduced search space", section 3. Magnitudes are the bins 0 to 30 of torchvision's ``RandAugment``,
whose default is 9. With m the bin, the strengths are:

    =================================  ==========================  ====================  ======
    operation                          strength                    range, m = 0 to 30    signed
    =================================  ==========================  ====================  ======
    identity, autocontrast, equalise   none                        0                     no
    rotate                             degrees, anticlockwise      0 to 30               yes
    solarise                           first value inverted        255 to 0              no
    colour, contrast, brightness,      what is added to the        0 to 0.9              yes
    sharpness                          blending factor of 1
    posterise                          bits that stay              8 to 4                no
    shear_x, shear_y                   pixels a row (a column)     0 to 0.3              yes
    translate_x, translate_y           whole pixels right (down)   0 to 150/331 of side  yes
    =================================  ==========================  ====================  ======

All of it is arithmetic on 8-bit values and gives Pillow's values, but for one step of 255 where
Pillow's own floats fall short of a whole number. Geometric operations take the nearest pixel, as is
torchvision's default, and fill with black.

The fourteen fall into three kinds: an affine warp, a look-up table, a blend with a degenerate
image. A layer passes the whole batch through each kind once, with parameters that leave alone the
images that drew another kind; this costs a fraction of computing all fourteen results.
"""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.errors import SettingsError
from twofold.components.transforms.colour import enhance, lookup
from twofold.components.transforms.conditions import where_any
from twofold.components.transforms.geometry import warp

OPERATIONS = (
    "identity",
    "autocontrast",
    "equalise",
    "rotate",
    "solarise",
    "colour",
    "posterise",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
MAX_MAGNITUDE = 30

_WARPS = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
_POINT_OPERATIONS = ("autocontrast", "equalise", "solarise", "posterise")
_ENHANCEMENTS = ("colour", "contrast", "brightness", "sharpness")
SIGNED_OPERATIONS = (*_WARPS, *_ENHANCEMENTS)


@dataclasses.dataclass(frozen=True)
class RandAugmentRanges:
    """What to draw.

    Attributes:
        layers: how many operations an image passes, at least 1; they may repeat.
        magnitude: the bin of every operation's strength, 0 to 30.

    Raises:
        SettingsError: if either is out of range.

    """

    layers: int
    magnitude: int

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise SettingsError(f"layers must be at least 1, received {self.layers}")
        _check_magnitude(self.magnitude)


@dataclasses.dataclass(frozen=True)
class RandAugmentParameters:
    """The draws of a batch.

    Attributes:
        operation: int32 [B, layers], indices in ``OPERATIONS``.
        strength: float32 [B, layers], with its sign and in the operation's own unit.

    """

    operation: tf.Tensor
    strength: tf.Tensor


def operation_strength(name: str, magnitude: int, height: int, width: int) -> float:
    """Returns the strength of an operation, without a sign, in the unit of the module's table.

    Args:
        name: one of ``OPERATIONS``.
        magnitude: the bin, 0 to 30.
        height: image height in pixels.
        width: image width in pixels.

    Raises:
        SettingsError: if the name is unknown or the magnitude out of range.

    """
    _index_of(name)
    _check_magnitude(magnitude)
    share = magnitude / MAX_MAGNITUDE
    strengths = {
        "rotate": 30.0 * share,
        "solarise": 255.0 * (1.0 - share),
        "colour": 0.9 * share,
        "posterise": 8.0 - round(4.0 * share),
        "contrast": 0.9 * share,
        "brightness": 0.9 * share,
        "sharpness": 0.9 * share,
        "shear_x": 0.3 * share,
        "shear_y": 0.3 * share,
        "translate_x": 150 * width * magnitude // (331 * MAX_MAGNITUDE),
        "translate_y": 150 * height * magnitude // (331 * MAX_MAGNITUDE),
    }
    return strengths.get(name, 0.0)


def sample_randaugment(
    keys: tf.Tensor, ranges: RandAugmentRanges, height: int, width: int
) -> RandAugmentParameters:
    """Draws ``ranges.layers`` operations for each key, all equally likely, and their signs.

    Args:
        keys: uint32 [B].
        ranges: what to draw.
        height: image height in pixels.
        width: image width in pixels.

    """
    drawn = keyed_random.uniform(keys, ranges.layers, 0.0, len(OPERATIONS))
    operation = tf.cast(drawn, tf.int32)
    is_negative = keyed_random.uniform(keyed_random.fold_in(keys, 1), ranges.layers) < 0.5
    is_negative &= _is_one_of(operation, *SIGNED_OPERATIONS)
    strengths = [operation_strength(name, ranges.magnitude, height, width) for name in OPERATIONS]
    strength = tf.gather(tf.constant(strengths, tf.float32), operation)
    return RandAugmentParameters(
        operation=operation,
        strength=tf.where(is_negative, -strength, strength),
    )


def apply_randaugment(images: tf.Tensor, parameters: RandAugmentParameters) -> tf.Tensor:
    """Passes each image through its operations.

    Args:
        images: float32 [B, H, W, C] in [0, 1], C = 1 or 3; they are rounded to 8 bits.
        parameters: the draws, one row for each image.

    Returns:
        float32 [B, H, W, C], multiples of 1/255 in [0, 1].

    """
    pixels = tf.cast(tf.round(images * 255.0), tf.int32)
    layers = zip(
        tf.unstack(parameters.operation, axis=1),
        tf.unstack(parameters.strength, axis=1),
        strict=True,
    )
    for operation, strength in layers:
        pixels = _layer(pixels, operation, strength)
    return tf.cast(pixels, tf.float32) / 255.0


def apply_operation(images: tf.Tensor, name: str, strength: float) -> tf.Tensor:
    """Passes every image through one operation of one strength.

    Args:
        images: float32 [B, H, W, C] in [0, 1], C = 1 or 3; they are rounded to 8 bits.
        name: one of ``OPERATIONS``.
        strength: with its sign, in the unit of the module's table; see ``operation_strength``.

    Returns:
        float32 [B, H, W, C], multiples of 1/255 in [0, 1].

    Raises:
        SettingsError: if the name is unknown.

    """
    shape = [tf.shape(images)[0], 1]
    return apply_randaugment(
        images,
        RandAugmentParameters(
            operation=tf.fill(shape, _index_of(name)),
            strength=tf.fill(shape, tf.constant(strength, tf.float32)),
        ),
    )


def _check_magnitude(magnitude: int) -> None:
    if not 0 <= magnitude <= MAX_MAGNITUDE:
        raise SettingsError(f"magnitude must be from 0 to {MAX_MAGNITUDE}, received {magnitude}")


def _index_of(name: str) -> int:
    if name not in OPERATIONS:
        raise SettingsError(f"operation must be one of {', '.join(OPERATIONS)}; received {name!r}")
    return OPERATIONS.index(name)


def _is_one_of(operation: tf.Tensor, *names: str) -> tf.Tensor:
    """Returns where ``operation``, int32 of any shape, is one of the named; bool."""
    return tf.gather(tf.constant([name in names for name in OPERATIONS]), operation)


def _strength_of(operation: tf.Tensor, strength: tf.Tensor, name: str) -> tf.Tensor:
    """Returns the strength where the operation is the named one, else 0."""
    return tf.where(_is_one_of(operation, name), strength, tf.zeros_like(strength))


def _layer(pixels: tf.Tensor, operation: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Passes int32 [B, H, W, C] through one operation for each image, both given as [B]."""
    # Without the conditions XLA takes seven times the time on a CPU.
    warped = where_any(
        _is_one_of(operation, *_WARPS), lambda: _warp(pixels, operation, strength), lambda: pixels
    )
    tables = where_any(
        _is_one_of(operation, *_POINT_OPERATIONS),
        lambda: _tables(warped, operation, strength),
        lambda: lookup.identity_tables(warped),
    )
    mapped = lookup.apply_tables(warped, tables)
    return where_any(
        _is_one_of(operation, *_ENHANCEMENTS),
        lambda: _enhance(mapped, operation, strength),
        lambda: mapped,
    )


def _warp(pixels: tf.Tensor, operation: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Rotates about the centre, or shears from the top left corner, or shifts."""
    height, width = pixels.shape[1:3]
    # In float64 a last bit that differs between executions vanishes in warp's fixed-point numbers.
    strength = tf.cast(strength, tf.float64)
    angle = _strength_of(operation, strength, "rotate") * (math.pi / 180.0)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x_turned = width / 2 - cosine * (width / 2) + sine * (height / 2)
    y_turned = height / 2 - sine * (width / 2) - cosine * (height / 2)
    matrices = [
        cosine,
        _strength_of(operation, strength, "shear_x") - sine,
        x_turned - _strength_of(operation, strength, "translate_x"),
        _strength_of(operation, strength, "shear_y") + sine,
        cosine,
        y_turned - _strength_of(operation, strength, "translate_y"),
    ]
    return warp.warp_nearest(pixels, tf.stack(matrices, axis=1))


def _tables(pixels: tf.Tensor, operation: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    bits = tf.cast(tf.where(_is_one_of(operation, "posterise"), strength, 8.0), tf.int32)
    choices = {
        "autocontrast": lookup.autocontrast_tables(pixels),
        "equalise": lookup.equalise_tables(pixels),
        "solarise": lookup.solarise_tables(pixels, strength),
        "posterise": lookup.posterise_tables(pixels, bits),
    }
    return _choose(operation, choices, lookup.identity_tables(pixels))


def _enhance(pixels: tf.Tensor, operation: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    choices = {
        "colour": tf.broadcast_to(enhance.grey(pixels), tf.shape(pixels)),
        "contrast": tf.broadcast_to(enhance.mean_grey(pixels), tf.shape(pixels)),
        "brightness": tf.zeros_like(pixels),
        "sharpness": enhance.smooth(pixels),
    }
    # An image that is blended with itself stays, whatever the factor.
    return enhance.blend(_choose(operation, choices, pixels), pixels, 1.0 + strength)


def _choose(operation: tf.Tensor, choices: dict[str, tf.Tensor], otherwise: tf.Tensor) -> tf.Tensor:
    """Takes each image's row of the tensor that its operation names."""
    chosen = otherwise
    for name, choice in choices.items():
        rows = tf.reshape(_is_one_of(operation, name), [-1] + [1] * (otherwise.shape.rank - 1))
        chosen = tf.where(rows, choice, chosen)
    return chosen
