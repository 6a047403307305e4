"""View policies: from one batch of images to several random views of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from components import keyed_random
from components.transforms import affine, colour, crop

# From images [B, H, W, C] in [0, 1] and keys uint32 [B] to one view of each, likewise.
ViewFunction = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def affine_view(ranges: affine.AffineRanges) -> ViewFunction:
    """Rotation, translation and scaling: the views of recipe E."""

    def view(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        parameters = affine.sample_affine(keys, ranges, *images.shape[1:3])
        return affine.apply_affine(images, parameters, ranges.border, ranges.interpolation)

    return view


def crop_view(crops: crop.CropRanges, colours: colour.ColourRanges) -> ViewFunction:
    """Random resized crop with flip, then the colour affine map: for photographs."""

    def view(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        boxes = crop.sample_crop(keyed_random.fold_in(keys, 1), crops)
        matrices = colour.sample_colour(keyed_random.fold_in(keys, 2), colours, images.shape[-1])
        return colour.apply_colour(crop.apply_crop(images, boxes), matrices)

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
