"""Networks that turn images into features, and the heads on top of them."""

import functools
import inspect
from collections.abc import Callable

import keras

from twofold.components.encoders.bag_of_patches import build_bag_of_patches
from twofold.components.encoders.conv4 import build_conv4
from twofold.components.encoders.core import build_core
from twofold.components.encoders.patch_dictionary import build_patch_dictionary
from twofold.components.encoders.resnet import RESNETS, build_resnet
from twofold.components.encoders.resnet34_published import build_resnet34_published
from twofold.components.encoders.resnet50v2 import build_resnet50v2
from twofold.components.errors import SettingsError

ENCODERS: dict[str, Callable[..., keras.Model]] = {
    "bag_of_patches": build_bag_of_patches,
    "conv4": build_conv4,
    "core": build_core,
    "patch_dictionary": build_patch_dictionary,
    **{name: functools.partial(build_resnet, name) for name in RESNETS},
    "resnet34_published": build_resnet34_published,
    "resnet50v2": build_resnet50v2,
}


def build_encoder(
    name: str, image_shape: tuple[int, int, int], *, seed: int, **settings: object
) -> keras.Model:
    """Builds an encoder by its name.

    Args:
        name: a key of ``ENCODERS``.
        image_shape: (H, W, C) of the input.
        seed: seed of the initial weights.
        **settings: passed to the encoder's own function.

    Raises:
        SettingsError: if the name is unknown, or the settings do not fit the encoder or the image.

    """
    if name not in ENCODERS:
        raise SettingsError(
            f"unknown encoder {name!r}: expected one of {', '.join(sorted(ENCODERS))}"
        )
    build = ENCODERS[name]
    known = [
        key for key in inspect.signature(build).parameters if key not in ("image_shape", "seed")
    ]
    for key in settings:
        if key not in known:
            raise SettingsError(
                f"the encoder {name} has no setting {key!r}: expected some of {', '.join(known)}"
            )
    return build(image_shape, seed=seed, **settings)
