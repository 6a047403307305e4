"""Gaussian blur of a batch of images, one sigma for each image."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.errors import SettingsError
from twofold.components.transforms.ranges import check_span


@dataclasses.dataclass(frozen=True)
class BlurRanges:
    """Standard deviations are uniform in [sigma[0], sigma[1]], in pixels."""

    sigma: tuple[float, float]

    def __post_init__(self) -> None:
        check_span("sigma", self.sigma)


def sample_blur(keys: tf.Tensor, ranges: BlurRanges) -> tf.Tensor:
    """Draws one standard deviation for each key (uint32 [B]), float32 [B] in pixels."""
    low, high = ranges.sigma
    return low + (high - low) * keyed_random.uniform(keys, 1)[:, 0]


def gaussian_kernels(sigma: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the Gaussians of the given widths at whole pixels, each with sum 1.

    Args:
        sigma: float32 [B], at least 0, in pixels; 0 gives the identity.
        size: number of taps, at least 1. They lie at -((size - 1) // 2) .. size // 2, so that an
            even size has one more to the right, as in tensorflow-addons.

    Returns:
        float32 [B, size].

    Raises:
        SettingsError: if ``size`` is less than 1.

    """
    if size < 1:
        raise SettingsError(f"size of a blur must be at least 1, received {size}")
    offsets = tf.range(-((size - 1) // 2), size // 2 + 1, dtype=tf.float32)
    # Far below any width that matters, and the square is still a normal float32.
    variance = tf.maximum(tf.square(sigma), 1e-12)[:, None]
    return tf.nn.softmax(-tf.square(offsets) / (2.0 * variance), axis=-1)


def gaussian_blur(images: tf.Tensor, sigma: tf.Tensor, size: int) -> tf.Tensor:
    """Filters rows and columns with each image's Gaussian, the image reflected at its border.

    The reflection leaves the outermost pixel single (``c b | a b c``), and the result is that of
    tensorflow-addons' ``gaussian_filter2d`` with mode "REFLECT", which takes one sigma for a
    batch.

    Args:
        images: float32 [B, H, W, C].
        sigma: float32 [B], at least 0, in pixels.
        size: number of taps along each axis, at least 1.

    Returns:
        float32 [B, H, W, C].

    Raises:
        SettingsError: if ``size`` is less than 1, or so large that the reflection does not fit the
            image.

    """
    height, width = images.shape[1:3]
    if size // 2 >= min(height, width):
        raise SettingsError(
            f"size of a blur must be less than twice the image's shorter side, "
            f"{min(height, width)}, received {size}"
        )
    kernels = gaussian_kernels(sigma, size)
    before, after = (size - 1) // 2, size // 2
    rows = tf.pad(images, [[0, 0], [before, after], [0, 0], [0, 0]], "REFLECT")
    images = tf.add_n(
        [rows[:, tap : tap + height] * kernels[:, tap, None, None, None] for tap in range(size)]
    )
    columns = tf.pad(images, [[0, 0], [0, 0], [before, after], [0, 0]], "REFLECT")
    return tf.add_n(
        [
            columns[:, :, tap : tap + width] * kernels[:, tap, None, None, None]
            for tap in range(size)
        ]
    )
