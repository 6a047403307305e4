"""Contact sheet of the views that a policy makes of a few images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.data.rules.file_kinds import IMAGE_EXTENSIONS
from twofold.components.data.rules.image_rules import RejectedError, check
from twofold.components.data.sources import build_source
from twofold.components.data.sources.source import Item
from twofold.components.encoders.patches.bag_of_patches_settings import BagOfPatchesSettings
from twofold.components.errors import DataError
from twofold.components.evaluation.plots.run_plots import plot_views
from twofold.components.transforms.decode import DecodeRule, decode_images
from twofold.components.transforms.policies import build_view
from twofold.components.transforms.settings import ViewsSettings
from twofold.components.transforms.views import make_views
from twofold.pipeline.config import RunConfig, override

# An encoder of patches that views of any size fit: what is drawn goes into none.
_ANY_SIZE = RunConfig(encoder=BagOfPatchesSettings(patch=1, stride=1, filters=(1,)))


def parse_policy(policy: str, settings: Sequence[str]) -> ViewsSettings:
    """Returns a policy's section of the configuration.

    Args:
        policy: its name.
        settings: ``key=value`` in YAML, of the policy's own keys.

    Raises:
        ConfigError: if the policy or a key is unknown, or a value is not accepted.

    """
    chosen = [f"policy={policy}"]
    config = override(_ANY_SIZE, chosen, section="views", origin=f"POLICY {policy}")
    return override(config, settings, section="views").views


def picture_views(
    views: ViewsSettings, images: Path | None, out: Path, *, count: int, each: int, size: int | None
) -> int:
    """Draws images in a row and views of each below.

    Args:
        views: the policy.
        images: an image file, a folder, a .zip, a .tar or a .npz; None draws sprites.
        out: the PNG file to write.
        count: how many images, evenly spaced over what there is.
        each: how many views of each.
        size: side in pixels to resize to; None for the first image's own.

    Returns:
        How many images are in the picture.

    Raises:
        DataError: if none of the images can be read.

    """
    originals = decode_files([*read_files(images, count)], size)
    keys = keyed_random.image_keys(
        0, tf.constant(0, tf.int64), tf.range(len(originals), dtype=tf.int64)
    )
    drawn = make_views((build_view(views),) * each, tf.constant(originals), keys)
    plot_views(originals, drawn.numpy(), out, title=views.policy)
    return len(originals)


def read_files(images: Path | None, count: int) -> Iterator[bytes]:
    """Gives the files of up to ``count`` usable images.

    Args:
        images: an image file, a folder, a .zip, a .tar or a .npz; None for sprites.
        count: how many to look at, evenly spaced over what there is.

    Raises:
        DataError: if none of them can be read.

    """
    found = 0
    for item in itertools.islice(_items(images, count), count):
        try:
            if item.problem is not None:
                raise RejectedError("unreadable", item.problem)
            checked = check(item.image)
        except RejectedError:
            continue
        yield checked.payload
        found += 1
    if not found:
        raise DataError(f"{images}: none of the images looked at could be read")


def _items(images: Path | None, count: int) -> Iterator[Item]:
    if images is not None and images.suffix.lower() in IMAGE_EXTENSIONS:
        try:
            yield Item(images.name, images.read_bytes())
        except OSError as error:
            raise DataError(f"{images}: {error.strerror}") from None
        return
    if images is None:
        source = build_source("dsprites", images=count)
    else:
        kind = "npz" if images.suffix in (".npz", ".npy") else "folder"
        source = build_source(kind, path=str(images))
    # The first images of stretches all over the source; one that is read in one go has one stretch.
    stretch = max(1, source.info().items // count)
    stretches = sum(1 for _ in source.tasks(stretch))
    each = -(-count // stretches)
    for task in source.tasks(stretch):
        yield from itertools.islice(source.read(task), each)


def decode_files(encoded: list[bytes], size: int | None) -> np.ndarray:
    """Gives the pixels of image files, uint8 [n, H, W, C].

    Args:
        encoded: what ``read_files`` gave.
        size: side in pixels to resize to; None for the first image's own.

    """
    pixels = [check(one).pixels for one in encoded]
    height, width = (size, size) if size is not None else pixels[0].shape[:2]
    rule = DecodeRule(height, width, max(one.shape[-1] for one in pixels))
    decoded: np.ndarray = decode_images(tf.constant(encoded), rule).numpy()
    return decoded
