"""Views of images: what a view policy is, and how policies are composed and applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.transforms import conditions
from twofold.components.transforms.colour import colour_map as colour
from twofold.components.transforms.geometry import affine, crop
from twofold.components.transforms.ranges import check_number

# From images float32 [B, H, W, C] in [0, 1] and keys uint32 [B] to one view of each, likewise.
ViewFunction = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

Parameters = TypeVar("Parameters")


def drawn(
    sample: Callable[[tf.Tensor], Parameters],
    apply: Callable[[tf.Tensor, Parameters], tf.Tensor],
) -> ViewFunction:
    """Makes a view of a transform: draws parameters from the keys, and applies them."""
    return lambda images, keys: apply(images, sample(keys))


def fixed(apply: Callable[[tf.Tensor], tf.Tensor]) -> ViewFunction:
    """Makes a view of a transform that has nothing to draw."""
    return lambda images, keys: apply(images)


def chain(*views: ViewFunction) -> ViewFunction:
    """Applies views one after the other, each with draws of its own."""

    def view(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        for number, part in enumerate(views, start=1):
            images = part(images, keyed_random.fold_in(keys, number))
        return images

    return view


def sometimes(probability: float, view: ViewFunction) -> ViewFunction:
    """Applies a view to some images only, each by a coin of its own.

    Args:
        probability: how likely an image gets the view, in [0, 1].
        view: what it gets; the others stay as they are.

    Raises:
        SettingsError: if the probability is outside [0, 1].

    """
    check_number("probability", probability, high=1.0)

    def some(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        chosen = keyed_random.uniform(keyed_random.fold_in(keys, 0), 1)[:, 0] < probability
        changed = conditions.where_any(
            chosen, lambda: view(images, keyed_random.fold_in(keys, 1)), lambda: images
        )
        return tf.where(chosen[:, None, None, None], changed, images)

    return some


def isolated(view: ViewFunction) -> ViewFunction:
    """Keeps XLA on a CPU from fusing a view with what comes before and after it."""
    return lambda images, keys: conditions.isolated_images(lambda one: view(one, keys), images)


def clip_to_unit_range(images: tf.Tensor) -> tf.Tensor:
    """Clips images to [0, 1]."""
    return tf.clip_by_value(images, 0.0, 1.0)


def affine_view(ranges: affine.AffineRanges) -> ViewFunction:
    """Rotation, translation and scaling: the views of recipe E."""

    def view(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        parameters = affine.sample_affine(keys, ranges, *images.shape[1:3])
        return affine.apply_affine(images, parameters, ranges.border, ranges.interpolation)

    return view


def crop_view(crops: crop.CropRanges, colours: colour.ColourRanges) -> ViewFunction:
    """Random resized crop with flip, then the colour affine map: for photographs."""
    return chain(
        drawn(lambda keys: crop.sample_crop(keys, crops), crop.apply_crop), colour_view(colours)
    )


def colour_view(ranges: colour.ColourRanges) -> ViewFunction:
    """The colour affine map of recipe A."""

    def view(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return colour.apply_colour(images, colour.sample_colour(keys, ranges, images.shape[-1]))

    return view


def to_unit_range(images: tf.Tensor) -> tf.Tensor:
    """Maps uint8 [0, 255] to float32 [0, 1]: the scaling of training, evaluation and serving."""
    return tf.cast(images, tf.float32) / 255.0


def make_views(views: Sequence[ViewFunction], images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Draws one view of each image by each policy, independently even of an equal policy.

    Args:
        views: V policies.
        images: uint8 [B, H, W, C].
        keys: uint32 [B], one for each image and step.

    Returns:
        float32 [V, B, H, W, C] in [0, 1].

    """
    unit = to_unit_range(images)
    return tf.stack(
        [view(unit, keyed_random.fold_in(keys, index)) for index, view in enumerate(views)]
    )
