"""RandAugment of TF Models: a few operations in a row, each one of sixteen or none.

Cubuk, Zoph, Shlens and Le (2020), "RandAugment: Practical automated data augmentation with a
reduced search space", section 3, as ``tf-models-official`` 2.7 has it
(``official.vision.image_classification.augment``). Magnitudes count to 10, where torchvision's
count to 30 (``randaugment_torchvision``), and 9 is far stronger here. With m the magnitude:

    ==============================  ============================================  ==========  ======
    operation                       strength                                      at m = 9    signed
    ==============================  ============================================  ==========  ======
    autocontrast, equalise, invert  none                                                      no
    rotate                          degrees, 3 m                                  27          yes
    posterise                       bits that stay, 0.4 m rounded down            3           no
    solarise                        first value inverted, 25.6 m rounded down     230         no
    colour, contrast, brightness,   factor of the blend, 0.1 + 0.18 m             1.72        no
    sharpness
    shear_x, shear_y                pixels a row (a column), 0.03 m               0.27        yes
    translate_x, translate_y        pixels, m tenths of ``translation``           90          yes
    cutout                          half the side of the square in pixels, m      36          no
                                    tenths of ``cutout`` rounded down
    solarise_add                    what values below 128 gain, 11 m rounded      99          no
                                    down
    identity                        none                                                      no
    ==============================  ============================================  ==========  ======

What is peculiar about the package is kept. What a geometric operation brings in from outside is the
image reflected about its edge, although the package passes a grey to fill it with; it takes the
nearest pixel. Pixel lengths do not depend on the image's size: a square of 72 pixels hides most of
an image of that side. Contrast blends not with the mean grey but with the number of pixels over
256. Values are truncated to 8 bits wherever the package does so.

``make test-fidelity`` compares each operation with the package's, pixel by pixel. They differ by
one step of 255 in fewer than one pixel of a hundred of sharpness, whose sums there fall short of a
whole number, or not, by the version of TensorFlow; and in one of 10,000 of colour.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.errors import SettingsError
from twofold.components.transforms.colour import enhance, lookup
from twofold.components.transforms.conditions import where_any
from twofold.components.transforms.ranges import check_number

OPERATIONS = (
    "autocontrast",
    "equalise",
    "invert",
    "rotate",
    "posterise",
    "solarise",
    "colour",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "cutout",
    "solarise_add",
    "identity",
)
MAX_MAGNITUDE = 10

_WARPS = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
_POINT_OPERATIONS = (
    "autocontrast",
    "equalise",
    "invert",
    "posterise",
    "solarise",
    "solarise_add",
)
_ENHANCEMENTS = ("colour", "contrast", "brightness", "sharpness")
_FILL = 128


@dataclasses.dataclass(frozen=True)
class TFModelsRandAugment:
    """What to draw, and how strong it is.

    Attributes:
        layers: how many operations an image passes, at least 1; they may repeat.
        magnitude: of every operation's strength, a whole number from 1 to 10.
        cutout: half the side in pixels of the square of magnitude 10.
        translation: the shift in pixels of magnitude 10.

    Raises:
        SettingsError: if one is out of range.

    """

    layers: int
    magnitude: int
    cutout: float = 40.0
    translation: float = 100.0

    def __post_init__(self) -> None:
        check_number("layers", self.layers, low=1)
        check_number("magnitude", self.magnitude, low=1, high=MAX_MAGNITUDE)
        check_number("cutout", self.cutout)
        check_number("translation", self.translation)

    def strength(self, name: str) -> float:
        """Returns the strength of an operation, without a sign, in the unit of the module's table.

        Raises:
            SettingsError: if the name is unknown.

        """
        _index_of(name)
        share = self.magnitude / MAX_MAGNITUDE
        enhancement = share * 1.8 + 0.1
        return {
            "rotate": share * 30.0,
            "posterise": int(share * 4),
            "solarise": int(share * 256),
            "colour": enhancement,
            "contrast": enhancement,
            "brightness": enhancement,
            "sharpness": enhancement,
            "shear_x": share * 0.3,
            "shear_y": share * 0.3,
            "translate_x": share * self.translation,
            "translate_y": share * self.translation,
            "cutout": int(share * self.cutout),
            "solarise_add": int(share * 110),
        }.get(name, 0.0)


@dataclasses.dataclass(frozen=True)
class TFModelsParameters:
    """The draws of a batch.

    Attributes:
        operation: int32 [B, layers], indices in ``OPERATIONS``.
        is_negative: bool [B, layers], whether a signed strength is; the others have no sign.
        centre: int32 [B, layers, 2], the row and the column in the middle of a cutout.

    """

    operation: tf.Tensor
    is_negative: tf.Tensor
    centre: tf.Tensor


def sample_tf_models(
    keys: tf.Tensor, augmentation: TFModelsRandAugment, height: int, width: int
) -> TFModelsParameters:
    """Draws operations for each key, all and none equally likely, their signs and their centres.

    Args:
        keys: uint32 [B].
        augmentation: what to draw.
        height: image height in pixels.
        width: image width in pixels.

    """
    layers = augmentation.layers
    drawn = keyed_random.uniform(keys, layers, 0.0, len(OPERATIONS))
    coins = keyed_random.uniform(keyed_random.fold_in(keys, 1), layers)
    rows = keyed_random.uniform(keyed_random.fold_in(keys, 2), layers, 0.0, height)
    columns = keyed_random.uniform(keyed_random.fold_in(keys, 3), layers, 0.0, width)
    return TFModelsParameters(
        operation=tf.cast(drawn, tf.int32),
        is_negative=coins < 0.5,
        centre=tf.cast(tf.stack([rows, columns], axis=-1), tf.int32),
    )


def apply_tf_models(
    images: tf.Tensor, parameters: TFModelsParameters, augmentation: TFModelsRandAugment
) -> tf.Tensor:
    """Passes each image through its operations.

    Args:
        images: float32 [B, H, W, C] in [0, 1], C = 1 or 3; they are truncated to 8 bits.
        parameters: the draws, one row for each image.
        augmentation: how strong the operations are.

    Returns:
        float32 [B, H, W, C], multiples of 1/255 in [0, 1].

    """
    # A value that was a byte may have lost its last bit on the way from [0, 255] and back.
    pixels = tf.cast(tf.floor(images * 255.0 + 2.0**-10), tf.int32)
    for layer in range(augmentation.layers):
        pixels = _layer(
            pixels,
            parameters.operation[:, layer],
            parameters.is_negative[:, layer],
            parameters.centre[:, layer],
            augmentation,
        )
    return tf.cast(pixels, tf.float32) / 255.0


def _index_of(name: str) -> int:
    if name not in OPERATIONS:
        raise SettingsError(f"operation must be one of {', '.join(OPERATIONS)}; received {name!r}")
    return OPERATIONS.index(name)


def _is_one_of(operation: tf.Tensor, *names: str) -> tf.Tensor:
    """Returns where ``operation``, int32 of any shape, is one of the named; bool."""
    return tf.gather(tf.constant([name in names for name in OPERATIONS]), operation)


def _layer(
    pixels: tf.Tensor,
    operation: tf.Tensor,
    is_negative: tf.Tensor,
    centre: tf.Tensor,
    augmentation: TFModelsRandAugment,
) -> tf.Tensor:
    """Passes int32 [B, H, W, C] through one operation for each image."""
    warped = where_any(
        _is_one_of(operation, *_WARPS),
        lambda: _warp(pixels, operation, is_negative, augmentation),
        lambda: pixels,
    )
    tables = where_any(
        _is_one_of(operation, *_POINT_OPERATIONS),
        lambda: _tables(warped, operation, augmentation),
        lambda: lookup.identity_tables(warped),
    )
    mapped = lookup.apply_tables(warped, tables)
    enhanced = where_any(
        _is_one_of(operation, *_ENHANCEMENTS),
        lambda: _enhance(mapped, operation, augmentation),
        lambda: mapped,
    )
    return _cut_out(enhanced, operation, centre, augmentation)


def _warp(
    pixels: tf.Tensor,
    operation: tf.Tensor,
    is_negative: tf.Tensor,
    augmentation: TFModelsRandAugment,
) -> tf.Tensor:
    """Takes each pixel from where its operation's table says: strengths are few, and sizes one."""
    batch = tf.shape(pixels)[0]
    height, width, channels = pixels.shape[1:]
    sources = [np.arange(height * width)]
    number = np.zeros([2, len(OPERATIONS)], np.int32)
    for name in _WARPS:
        for sign in (1, -1):
            number[int(sign < 0), _index_of(name)] = len(sources)
            strength = sign * augmentation.strength(name)
            sources.append(_source_pixels(name, strength, height, width))
    table = tf.gather_nd(
        tf.constant(number), tf.stack([tf.cast(is_negative, tf.int32), operation], axis=1)
    )
    chosen = tf.gather(tf.constant(np.stack(sources), tf.int32), table)
    taken = tf.gather(tf.reshape(pixels, [batch, height * width, channels]), chosen, batch_dims=1)
    return tf.reshape(taken, [batch, height, width, channels])


def _source_pixels(name: str, strength: float, height: int, width: int) -> np.ndarray:
    """Returns int [H * W]: the pixel, counted row by row, that each output pixel is taken from.

    In float32, as in TensorFlow's projective transform, so that halves fall on the same side.
    """
    s = np.float32(strength)
    right, down = np.float32(width - 1), np.float32(height - 1)
    angle = np.float32(strength * (math.pi / 180.0))
    cosine, sine = np.cos(angle), np.sin(angle)
    matrices = {
        "rotate": (
            (cosine, -sine, (right - (cosine * right - sine * down)) / np.float32(2)),
            (sine, cosine, (down - (sine * right + cosine * down)) / np.float32(2)),
        ),
        "shear_x": ((1, s, 0), (0, 1, 0)),
        "shear_y": ((1, 0, 0), (s, 1, 0)),
        "translate_x": ((1, 0, s), (0, 1, 0)),
        "translate_y": ((1, 0, 0), (0, 1, s)),
    }
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    column, row = (
        _reflected(np.float32(x) * columns + np.float32(y) * rows + np.float32(shift), side)
        for (x, y, shift), side in zip(matrices[name], (width, height), strict=True)
    )
    return np.asarray(row * width + column).ravel()


def _reflected(positions: np.ndarray, side: int) -> np.ndarray:
    """Returns the nearest pixels of an axis that continues as c b a | a b c | c b a."""
    folded = np.where(positions < 0, -positions - 1, positions)
    folded = np.maximum(folded, 0) % np.float32(2 * side)
    folded = np.where(folded >= side, 2 * side - folded - 1, folded)
    return np.floor(np.clip(folded, 0, side - 1) + np.float32(0.5)).astype(np.int64)


def _tables(
    pixels: tf.Tensor, operation: tf.Tensor, augmentation: TFModelsRandAugment
) -> tf.Tensor:
    values = lookup.identity_tables(pixels)
    inverted = lookup.LEVELS - 1 - values
    # The package moves bits by 7 at most.
    dropped = 8 - max(1, int(augmentation.strength("posterise")))
    first_inverted = int(augmentation.strength("solarise"))
    added = int(augmentation.strength("solarise_add"))
    choices = {
        "autocontrast": _autocontrast_tables(pixels),
        "equalise": lookup.equalise_tables(pixels),
        "invert": inverted,
        "posterise": tf.bitwise.left_shift(tf.bitwise.right_shift(values, dropped), dropped),
        "solarise": tf.where(values < first_inverted, values, inverted),
        "solarise_add": tf.where(values < 128, tf.minimum(values + added, 255), values),
    }
    return _choose(operation, choices, values)


def _autocontrast_tables(pixels: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to [0, 255], as the package's float32 does, int32 [B, C, 256].

    The products of float32 numbers are exact in float64, so that a fused multiply-add, which XLA
    forms, changes nothing, and are rounded by hand.
    """
    darkest = tf.cast(tf.reduce_min(pixels, axis=[1, 2])[..., None], tf.float64)
    lightest = tf.cast(tf.reduce_max(pixels, axis=[1, 2])[..., None], tf.float64)
    spread = lightest - darkest
    scales = np.float32(255.0) / np.arange(1, lookup.LEVELS).astype(np.float32)
    scales = tf.constant(np.concatenate([[0.0], scales]), tf.float64)
    scale = tf.gather(scales, tf.cast(spread, tf.int32))
    values = tf.range(lookup.LEVELS, dtype=tf.float64)
    stretched = _to_float32(_to_float32(values * scale) - _to_float32(darkest * scale))
    stretched = tf.cast(tf.clip_by_value(stretched, 0.0, 255.0), tf.int32)
    return tf.where(spread > 0, stretched, lookup.identity_tables(pixels))


def _to_float32(numbers: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.cast(numbers, tf.float32), tf.float64)


def _enhance(
    pixels: tf.Tensor, operation: tf.Tensor, augmentation: TFModelsRandAugment
) -> tf.Tensor:
    height, width = pixels.shape[1:3]
    choices = {
        "colour": tf.broadcast_to(_grey(pixels), tf.shape(pixels)),
        "contrast": tf.fill(tf.shape(pixels), min(255, height * width // 256)),
        "brightness": tf.zeros_like(pixels),
        "sharpness": enhance.smooth(pixels, rounded=False),
    }
    factors = tf.fill([tf.shape(pixels)[0]], tf.constant(augmentation.strength("colour")))
    # An image that is blended with itself stays, whatever the factor.
    return enhance.blend(_choose(operation, choices, pixels), pixels, factors)


def _grey(pixels: tf.Tensor) -> tf.Tensor:
    """Returns the luma of ``tf.image.rgb_to_grayscale``, int32 [B, H, W, 1]."""
    if pixels.shape[-1] == 1:
        return pixels
    red, green, blue = tf.split(pixels, 3, axis=-1)
    # The weights .2989, .587 and .114, whose sum is below 1; bytes are then 255.5 times as much.
    return (2989 * red + 5870 * green + 1140 * blue) * 511 // 5_100_000


def _cut_out(
    pixels: tf.Tensor, operation: tf.Tensor, centre: tf.Tensor, augmentation: TFModelsRandAugment
) -> tf.Tensor:
    half = int(augmentation.strength("cutout"))

    def is_near(place: tf.Tensor, side: int) -> tf.Tensor:
        first = place[:, None] - half
        position = tf.range(side)[None, :]
        return (position >= first) & (position < first + 2 * half)

    height, width = pixels.shape[1:3]
    rows, columns = is_near(centre[:, 0], height), is_near(centre[:, 1], width)
    rows &= _is_one_of(operation, "cutout")[:, None]
    return tf.where(rows[:, :, None, None] & columns[:, None, :, None], _FILL, pixels)


def _choose(operation: tf.Tensor, choices: dict[str, tf.Tensor], otherwise: tf.Tensor) -> tf.Tensor:
    """Takes each image's row of the tensor that its operation names."""
    chosen = otherwise
    for name, choice in choices.items():
        rows = tf.reshape(_is_one_of(operation, name), [-1] + [1] * (otherwise.shape.rank - 1))
        chosen = tf.where(rows, choice, chosen)
    return chosen
