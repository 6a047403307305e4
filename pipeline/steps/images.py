"""The prepared images as the encoder sees them: one size, decoded once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from components.data.errors import DataError
from components.data.manifest import Manifest
from components.data.reader import load_split
from components.data.split import Split
from components.data.subset import keep_labels
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


@dataclasses.dataclass(frozen=True)
class TrainingImages:
    """What there is to train on.

    Attributes:
        labelled: images of which some or all have a label.
        unlabelled: where images without a label are drawn from when they come in a stream of their
            own; may be the same split.

    """

    labelled: Split
    unlabelled: Split

    @functools.cached_property
    def together(self) -> Split:
        """All images as one split; unlabelled ones have label -1."""
        if self.unlabelled is self.labelled:
            return self.labelled
        return _join([self.labelled, self.unlabelled])


def load_training_images(context: Context, manifest: Manifest) -> TrainingImages:
    """Loads the training images, of whose labels ``data.label_share`` is kept.

    Raises:
        DataError: if there are none.

    """
    data = context.config.data
    parts = {name: load(context, manifest, name) for name in _TRAINING if name in manifest.splits}
    if not parts:
        raise DataError(
            f"{manifest.name} has no training images: expected a split {' or '.join(_TRAINING)}, "
            f"found {', '.join(manifest.splits)}"
        )
    labelled = keep_labels(next(iter(parts.values())), data.label_share, data.label_seed)
    if len(parts) == 1:
        return TrainingImages(labelled, labelled)
    if data.label_share < 1:
        # Images that lost their label belong to those without one.
        joined = _join([labelled, parts["unlabelled"]])
        return TrainingImages(joined, joined)
    return TrainingImages(labelled, parts["unlabelled"])


def _join(parts: Sequence[Split]) -> Split:
    return Split(
        images=np.concatenate([part.images for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        keys=np.concatenate([part.keys for part in parts]),
        latents=np.concatenate([part.latents for part in parts]),
        class_names=parts[0].class_names,
        latent_names=parts[0].latent_names,
        name=" and ".join(part.name for part in parts),
    )
