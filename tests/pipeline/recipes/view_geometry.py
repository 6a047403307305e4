"""Reads off what views have drawn, from images whose values tell where a pixel comes from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.transforms.policies import build_view
from twofold.components.transforms.settings import ViewsSettings

COUNT = 4096
_SIDE = 32


def _view(settings: ViewsSettings, images: np.ndarray, changes: Mapping[str, Any]) -> np.ndarray:
    policy = build_view(settings.model_copy(update=dict(changes)))
    keys = keyed_random.image_keys(
        1, tf.constant(0, tf.int64), tf.range(len(images), dtype=tf.int64)
    )
    drawn: np.ndarray = policy(tf.constant(images), keys).numpy()
    return drawn


def colours(
    settings: ViewsSettings, colour: tuple[float, float, float], **changes: Any
) -> np.ndarray:
    """Gives the colours [n, 3] that views make of images of one colour.

    Args:
        settings: of the policy.
        colour: in [0, 1].
        **changes: settings in place of its own.

    """
    images = np.broadcast_to(np.array(colour, np.float32), (COUNT, 4, 4, 3))
    return _view(settings, images, changes)[:, 2, 2]


def positions(settings: ViewsSettings, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Gives where the centres of views lie and how much of each side a view shows.

    Args:
        settings: of the policy.
        **changes: settings in place of its own, without which colours would change.

    Returns:
        (centres [n, 2], extents [n, 2]), (y, x) in shares of the sides; a mirrored x is below 0.

    """
    ramp = (np.arange(_SIDE, dtype=np.float32) + 0.5) / _SIDE
    y, x = np.meshgrid(ramp, ramp, indexing="ij")
    image = np.stack([y, x, np.zeros_like(x)], axis=-1)
    views = _view(settings, np.broadcast_to(image, (COUNT, *image.shape)), changes)
    middle = views[:, _SIDE // 2 - 1 : _SIDE // 2 + 1, _SIDE // 2 - 1 : _SIDE // 2 + 1, :2]
    centres = middle.mean(axis=(1, 2))
    extents = np.stack(
        [
            (middle[:, 1, :, 0] - middle[:, 0, :, 0]).mean(axis=1),
            (middle[:, :, 1, 1] - middle[:, :, 0, 1]).mean(axis=1),
        ],
        axis=1,
    )
    return centres, extents * _SIDE
