"""Random colour jitter of a batch of images: brightness, contrast, saturation, hue, in this order.

Torchvision and the papers' codes draw the order anew for each image or batch; here it is fixed,
the one that they list and that SimCLR's appendix A writes out.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.transforms.colour import brightness, contrast, grey, hue
from twofold.components.transforms.ranges import check_number


@dataclasses.dataclass(frozen=True)
class JitterRanges:
    """Ranges of a colour jitter; 0 leaves a part out.

    Attributes:
        shift: brightness shifts, uniform in [-shift, shift].
        brightness: brightness factors, uniform in [max(0, 1 - brightness), 1 + brightness].
        contrast: contrast factors, likewise.
        saturation: saturation factors, likewise.
        hue: turns of the hue, uniform in [-hue, hue] of the whole circle.

    """

    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        check_number("shift", self.shift, high=1.0)
        for field in ("brightness", "contrast", "saturation"):
            check_number(field, getattr(self, field))
        check_number("hue", self.hue, high=0.5)


@dataclasses.dataclass(frozen=True)
class JitterParameters:
    """What happens to each image; float32 [B] each."""

    shift: tf.Tensor
    brightness: tf.Tensor
    contrast: tf.Tensor
    saturation: tf.Tensor
    hue: tf.Tensor


def sample_jitter(keys: tf.Tensor, ranges: JitterRanges) -> JitterParameters:
    """Draws one jitter for each key (uint32 [B])."""
    part = [keyed_random.fold_in(keys, number) for number in range(5)]
    return JitterParameters(
        shift=brightness.sample_brightness_shift(
            part[0], brightness.BrightnessShiftRanges(ranges.shift)
        ),
        brightness=brightness.sample_brightness_factor(
            part[1], brightness.BrightnessFactorRanges(ranges.brightness)
        ),
        contrast=contrast.sample_contrast(part[2], contrast.ContrastRanges(ranges.contrast)),
        saturation=grey.sample_saturation(part[3], grey.SaturationRanges(ranges.saturation)),
        hue=hue.sample_hue(part[4], hue.HueRanges(ranges.hue)),
    )


def apply_jitter(
    images: tf.Tensor,
    parameters: JitterParameters,
    saturation_of: Literal["luma", "hsv"] = "luma",
) -> tf.Tensor:
    """Shifts and scales the brightness, then the contrast, the saturation, and turns the hue.

    Args:
        images: float32 [B, H, W, C], C 1 or 3.
        parameters: one jitter for each image.
        saturation_of: "luma" blends with the image in grey (``apply_saturation``), "hsv" scales the
            saturation of HSV, which clips it (``scale_saturation``).

    Returns:
        float32 [B, H, W, C], clipped neither between the parts nor after them.

    Raises:
        SettingsError: if there are neither 1 nor 3 channels.

    """
    images = brightness.apply_brightness_shift(images, parameters.shift)
    images = brightness.apply_brightness_factor(images, parameters.brightness)
    images = contrast.apply_contrast(images, parameters.contrast)
    saturate = grey.scale_saturation if saturation_of == "hsv" else grey.apply_saturation
    images = saturate(images, parameters.saturation)
    return hue.apply_hue(images, parameters.hue)
