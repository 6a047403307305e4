"""The prepared images as the encoder sees them: one size, decoded once."""

from __future__ import annotations

import numpy as np

from components.data.errors import DataError
from components.data.manifest import Manifest
from components.data.reader import Split, load_split
from components.transforms.decode import DecodeRule, decode_image
from pipeline.steps.context import Context

_TRAINING = ("train", "unlabelled")


def decode_rule(context: Context, manifest: Manifest) -> DecodeRule:
    """Returns the one rule by which training, evaluation and serving decode.

    Raises:
        DataError: if the images have several sizes and ``data.image_size`` does not say which to
            use.

    """
    side = context.config.data.image_size
    if side is not None:
        return DecodeRule(side, side, manifest.channels)
    sizes = manifest.image_sizes
    if len(sizes) > 1:
        common = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:4]
        listed = ", ".join(f"{size} ({count})" for size, count in common)
        raise DataError(
            f"the images of {manifest.name} have {len(sizes)} sizes ({listed}): set "
            f"data.image_size to the side in pixels that the encoder should see"
        )
    height, width = (int(side) for side in next(iter(sizes)).split("x"))
    return DecodeRule(height, width, manifest.channels)


def load(context: Context, manifest: Manifest, name: str) -> Split:
    """Decodes a split once, into the data set's folder, and maps it into memory."""
    rule = decode_rule(context, manifest)
    return load_split(
        context.dataset_directory,
        name,
        decode=lambda contents: decode_image(contents, rule),
        size=(rule.height, rule.width),
        channels=rule.channels,
        cache_dir=context.dataset_directory / "decoded",
        cache_key=rule.fingerprint,
    )


def load_training_images(context: Context, manifest: Manifest) -> Split:
    """Joins the labelled and the unlabelled training images; unlabelled ones have label -1."""
    parts = [load(context, manifest, name) for name in _TRAINING if name in manifest.splits]
    if not parts:
        raise DataError(
            f"{manifest.name} has no training images: expected a split {' or '.join(_TRAINING)}, "
            f"found {', '.join(manifest.splits)}"
        )
    if len(parts) == 1:
        return parts[0]
    return Split(
        images=np.concatenate([part.images for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        keys=np.concatenate([part.keys for part in parts]),
        latents=np.concatenate([part.latents for part in parts]),
        class_names=parts[0].class_names,
        latent_names=parts[0].latent_names,
    )
