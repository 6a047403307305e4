"""View policies of consistency training (recipe D): a window of the image, and noise on it."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from twofold.components.errors import SettingsError
from twofold.components.transforms.consistency.randaugment_tf_models import (
    TFModelsRandAugment,
    apply_tf_models,
    sample_tf_models,
)
from twofold.components.transforms.consistency.randaugment_torchvision import (
    RandAugmentRanges,
    apply_randaugment,
    sample_randaugment,
)
from twofold.components.transforms.geometry.crop import WindowRanges, apply_crop, sample_window
from twofold.components.transforms.ranges import check_number
from twofold.components.transforms.settings import RANDAUGMENTS, RandAugmentSettings
from twofold.components.transforms.views import ViewFunction, chain, isolated


def resized_window(*, resized: int, side: int) -> ViewFunction:
    """Recipe D's clean view: flip, resize, and a window of whole pixels at a random position.

    The published one resizes images to 96 pixels and cuts 72. Both are one bilinear sampling here,
    which gives the same.

    Raises:
        SettingsError: if the window is larger than the image that it is cut from.

    """
    if not 1 <= side <= resized:
        raise SettingsError(
            f"side must be at least 1 and at most resized={resized} pixels, received {side}"
        )
    ranges = WindowRanges((side / resized, side / resized), whole_pixels=True)

    def view(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return apply_crop(images, sample_window(keys, ranges, resized, resized), side)

    return view


def consistency(*, crop: float) -> ViewFunction:
    """Flip, and a crop of a share of the side at a random position, in the image's own size.

    Recipe D's views for images that are not to change their size; see ``resized_window``.
    """
    check_number("crop", crop, low=0.01, high=1.0)
    ranges = WindowRanges((crop, crop))

    def view(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return apply_crop(images, sample_window(keys, ranges, *images.shape[1:3]))

    return isolated(view)


def randaugment_tf_models(
    *,
    resized: int,
    side: int,
    layers: int,
    magnitude: int,
    cutout: float,
    translation: float,
) -> ViewFunction:
    """Recipe D's noisy view: ``resized_window``, then RandAugment of TF Models."""
    noise = tf_models_noise(
        layers=layers, magnitude=magnitude, cutout=cutout, translation=translation
    )
    return chain(resized_window(resized=resized, side=side), noise)


def randaugment_torchvision(*, crop: float, layers: int, magnitude: int) -> ViewFunction:
    """``consistency``, then torchvision's RandAugment."""
    return chain(consistency(crop=crop), torchvision_noise(layers=layers, magnitude=magnitude))


def tf_models_noise(
    *, layers: int, magnitude: int, cutout: float, translation: float
) -> ViewFunction:
    """RandAugment of TF Models alone, for the noisy view of a window that is already cut."""
    augmentation = TFModelsRandAugment(layers, magnitude, cutout, translation)

    def view(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        parameters = sample_tf_models(keys, augmentation, *images.shape[1:3])
        return apply_tf_models(images, parameters, augmentation)

    return view


def torchvision_noise(*, layers: int, magnitude: int) -> ViewFunction:
    """Torchvision's RandAugment alone, likewise."""
    ranges = RandAugmentRanges(layers, magnitude)

    def view(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        parameters = sample_randaugment(keys, ranges, *images.shape[1:3])
        return apply_randaugment(images, parameters)

    return view


def build_noise(settings: RandAugmentSettings) -> ViewFunction:
    """Builds RandAugment alone from its settings."""
    build: Callable[..., ViewFunction] = settings.load_implementation()
    return build(**settings.model_dump(exclude={RANDAUGMENTS.key}))
