"""View policies, built from their settings.

Ranges are pairs (low, high); probabilities are those of one image. "Brightness" is a shift or a
factor, whichever the policy's source means; each docstring states it. A colour
jitter always applies its parts in the order brightness, contrast, saturation, hue; crops are
resized bilinearly, without antialiasing, to the image's own size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np
import tensorflow as tf

from twofold.components.errors import SettingsError
from twofold.components.transforms.blur import BlurRanges, gaussian_blur, sample_blur
from twofold.components.transforms.colour.brightness import (
    BrightnessShiftRanges,
    apply_brightness_shift,
    sample_brightness_shift,
)
from twofold.components.transforms.colour.colour_map import ColourRanges
from twofold.components.transforms.colour.grey import to_grey
from twofold.components.transforms.colour.jitter import JitterRanges, apply_jitter, sample_jitter
from twofold.components.transforms.colour.solarise import solarise
from twofold.components.transforms.geometry.affine import AffineRanges
from twofold.components.transforms.geometry.crop import (
    CropRanges,
    WindowRanges,
    apply_crop,
    sample_crop,
    sample_window,
)
from twofold.components.transforms.geometry.zoom import ZoomRanges, apply_zoom, sample_zoom
from twofold.components.transforms.ranges import check_number, check_span
from twofold.components.transforms.settings import VIEWS, ViewsSettings
from twofold.components.transforms.views import (
    ViewFunction,
    affine_view,
    chain,
    clip_to_unit_range,
    colour_view,
    crop_view,
    drawn,
    fixed,
    isolated,
    sometimes,
)

Span = tuple[float, float]


def none() -> ViewFunction:
    """The image as it is."""
    return fixed(tf.identity)


def affine(
    *,
    rotation_degrees: float,
    translation: float,
    scale: Span,
    border: str,
    interpolation: str,
) -> ViewFunction:
    """Rotation, translation and scaling, the views of recipe E; see ``AffineRanges``."""
    return affine_view(AffineRanges(rotation_degrees, translation, scale, border, interpolation))


def crop(
    *,
    area: Span,
    aspect: Span,
    flip: bool,
    brightness: float,
    jitter: float,
) -> ViewFunction:
    """Random resized crop with flip, then recipe A's colour affine map."""
    return crop_view(CropRanges(area, aspect, flip), ColourRanges(brightness, jitter))


def simclr_keras(*, min_area: float, brightness: float, jitter: float) -> ViewFunction:
    """Recipe A's contrastive views: flip, translation, zoom, and the colour affine map.

    Source: keras.io, "Semi-supervised image classification using contrastive pretraining with
    SimCLR". ``brightness`` is a factor.
    """
    zooms = ZoomRanges(min_area)
    return chain(
        drawn(lambda keys: sample_zoom(keys, zooms), apply_zoom),
        colour_view(ColourRanges(brightness, jitter)),
    )


def nnclr(
    *, area: Span, aspect: Span, aspect_scale: Literal["log", "linear"], brightness: float
) -> ViewFunction:
    """Recipe B's contrastive views: flip, random resized crop, brightness as a shift.

    Source: keras.io, "Self-supervised contrastive learning with NNCLR".
    """
    _check_shares(brightness=brightness)
    shifts = BrightnessShiftRanges(brightness)
    return chain(
        _resized_crop(CropRanges(area, aspect, aspect_scale=aspect_scale)),
        drawn(lambda keys: sample_brightness_shift(keys, shifts), apply_brightness_shift),
        fixed(clip_to_unit_range),
    )


def barlow(
    *,
    crop: Span,
    flip_probability: float,
    jitter_probability: float,
    brightness: float,
    contrast: float,
    saturation: float,
    saturation_of: Literal["hsv", "luma"],
    hue: float,
    blur_probability: float,
    blur_size: int,
    sigma: Span,
    sigma_drawn: Literal["run", "image"],
    grey_probability: float,
    solarise_probability: float,
    solarise_threshold: float,
    seed: int = 0,
) -> ViewFunction:
    """Recipe C's views, in its order: crop, flip, jitter, blur, grey, solarise, clip.

    Source: keras.io, "Barlow Twins for Contrastive SSL". The crop's side is a whole number of
    pixels, ``crop`` its range as shares of the image's; ``brightness`` is a shift. ``sigma`` is in
    pixels, ``blur_size`` the number of taps. As published, a coin lets half of the images pass a
    random flip; one sigma is drawn while the graph is traced, for which ``sigma_drawn="run"``
    takes the run's ``seed``; and no value reaches the threshold of the solarisation, 10, so that
    ``solarise_probability`` is 0. ``barlow_corrected`` draws a sigma for each image and solarises
    in the image's own range.
    """
    check_span("crop", crop, low=0.01, high=1.0)
    check_span("sigma", sigma)
    _check_shares(
        jitter_probability=jitter_probability,
        brightness=brightness,
        blur_probability=blur_probability,
        grey_probability=grey_probability,
        solarise_probability=solarise_probability,
        solarise_threshold=solarise_threshold,
    )
    if sigma_drawn == "run":
        sigma = (float(np.random.default_rng(seed).uniform(*sigma)),) * 2
    return chain(
        _window(WindowRanges(crop, whole_pixels=True, flip_probability=flip_probability)),
        sometimes(
            jitter_probability,
            _jitter(
                JitterRanges(shift=brightness, contrast=contrast, saturation=saturation, hue=hue),
                saturation_of,
            ),
        ),
        sometimes(blur_probability, _blur(BlurRanges(sigma), blur_size)),
        sometimes(grey_probability, fixed(to_grey)),
        sometimes(
            solarise_probability,
            fixed(functools.partial(solarise, threshold=solarise_threshold)),
        ),
        fixed(clip_to_unit_range),
    )


def simclr_imagenet(
    *,
    area: Span,
    aspect: Span,
    strength: float,
    jitter_probability: float,
    grey_probability: float,
    blur_probability: float,
    sigma: Span,
    blur_share: float,
) -> ViewFunction:
    """The views of Chen et al. (2020), SimCLR, appendix A.

    Crop with flip, colour jitter of .8, .8, .8 (a factor of brightness, of contrast, of
    saturation) and .2 (hue) times ``strength``, grey, blur. ``sigma`` is in pixels,
    ``blur_share`` the kernel's size over the image's shorter side.
    """
    check_number("strength", strength, high=2.5)
    _check_shares(
        jitter_probability=jitter_probability,
        grey_probability=grey_probability,
        blur_probability=blur_probability,
        blur_share=blur_share,
    )
    return chain(
        _resized_crop(CropRanges(area, aspect)),
        sometimes(jitter_probability, _simclr_jitter(strength)),
        fixed(clip_to_unit_range),
        sometimes(grey_probability, fixed(to_grey)),
        sometimes(blur_probability, _blur_of_share(BlurRanges(sigma), blur_share)),
    )


def byol(
    *,
    area: Span,
    aspect: Span,
    jitter_probability: float,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
    grey_probability: float,
    blur_probability: float,
    sigma: Span,
    blur_share: float,
    solarise_probability: float,
    solarise_threshold: float,
) -> ViewFunction:
    """The first view of Grill et al. (2020), BYOL, appendix B and table 6.

    Crop with flip, colour jitter (``brightness`` is a shift), grey, blur, solarise. ``sigma`` is in
    pixels, ``blur_share`` the kernel's size over the image's shorter side (23 of 224 there).
    """
    _check_shares(
        jitter_probability=jitter_probability,
        brightness=brightness,
        grey_probability=grey_probability,
        blur_probability=blur_probability,
        blur_share=blur_share,
        solarise_probability=solarise_probability,
        solarise_threshold=solarise_threshold,
    )
    return chain(
        _resized_crop(CropRanges(area, aspect)),
        sometimes(
            jitter_probability,
            _jitter(
                JitterRanges(shift=brightness, contrast=contrast, saturation=saturation, hue=hue)
            ),
        ),
        fixed(clip_to_unit_range),
        sometimes(grey_probability, fixed(to_grey)),
        sometimes(blur_probability, _blur_of_share(BlurRanges(sigma), blur_share)),
        sometimes(
            solarise_probability,
            fixed(functools.partial(solarise, threshold=solarise_threshold)),
        ),
    )


def patches(
    *,
    side: int,
    area: Span,
    aspect: Span,
    jitter_probability: float,
    strength: float,
    grey_probability: float,
) -> ViewFunction:
    """Crops of ``side`` pixels for encoders that take these, then the jitter and grey of SimCLR.

    Crop with flip, colour jitter of .8, .8, .8, .2 times ``strength``, grey, as in Tong et al.
    (2023), EMP-SSL, but for its blur and solarisation. There ``area`` is .25, and patches are made
    as large as the image again, which costs four times the work.
    """
    if side < 1:
        raise SettingsError(f"side must be at least 1 pixel, received {side}")
    check_number("strength", strength, high=2.5)
    _check_shares(jitter_probability=jitter_probability, grey_probability=grey_probability)
    ranges = CropRanges(area, aspect)
    return chain(
        drawn(lambda keys: sample_crop(keys, ranges), functools.partial(apply_crop, side=side)),
        sometimes(jitter_probability, _simclr_jitter(strength)),
        fixed(clip_to_unit_range),
        sometimes(grey_probability, fixed(to_grey)),
    )


def build_view(views: ViewsSettings, seed: int = 0) -> ViewFunction:
    """Builds a view policy from its settings.

    Args:
        views: the settings.
        seed: of the run, for what is drawn once in it.

    Raises:
        ValueError: if a setting is out of its range.

    """
    build: Callable[..., ViewFunction] = views.load_implementation()
    once = {"seed": seed} if views.drawn_once else {}
    return build(**views.model_dump(exclude={VIEWS.key}), **once)


def build_policy(name: str, **settings: object) -> ViewFunction:
    """Builds a view policy by its name.

    Args:
        name: of ``VIEWS``.
        **settings: of the policy; the others keep their published values.

    Raises:
        SettingsError: if the name or a setting is unknown, or a setting is out of its range.

    """
    defaults = VIEWS.defaults(name)
    for key in settings:
        if key not in defaults:
            expected = f"expected some of {', '.join(defaults)}" if defaults else "it has none"
            raise SettingsError(f"the policy {name} has no setting {key!r}: {expected}")
    build: Callable[..., ViewFunction] = VIEWS[name].load_implementation()
    return build(**defaults | settings)


def _check_shares(**shares: float) -> None:
    for field, share in shares.items():
        check_number(field, share, high=1.0)


def _resized_crop(ranges: CropRanges) -> ViewFunction:
    return isolated(drawn(lambda keys: sample_crop(keys, ranges), apply_crop))


def _window(ranges: WindowRanges) -> ViewFunction:
    def view(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return apply_crop(images, sample_window(keys, ranges, *images.shape[1:3]))

    return isolated(view)


def _jitter(ranges: JitterRanges, saturation_of: Literal["luma", "hsv"] = "luma") -> ViewFunction:
    apply = functools.partial(apply_jitter, saturation_of=saturation_of)
    return drawn(lambda keys: sample_jitter(keys, ranges), apply)


def _simclr_jitter(strength: float) -> ViewFunction:
    return _jitter(
        JitterRanges(
            brightness=0.8 * strength,
            contrast=0.8 * strength,
            saturation=0.8 * strength,
            hue=0.2 * strength,
        )
    )


def _blur(ranges: BlurRanges, size: int) -> ViewFunction:
    return drawn(
        lambda keys: sample_blur(keys, ranges), functools.partial(gaussian_blur, size=size)
    )


def _blur_of_share(ranges: BlurRanges, share: float) -> ViewFunction:
    def view(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        # An odd number of taps; the smallest that blurs is 3.
        radius = max(1, int(share * min(images.shape[1:3])) // 2)
        return _blur(ranges, 2 * radius + 1)(images, keys)

    return view
