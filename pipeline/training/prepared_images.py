"""Prepared images as the encoder takes them: one size, one rule."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator

import tensorflow as tf

from twofold.components.data.reading.joined_splits import is_encoded, join
from twofold.components.data.reading.label_subset import keep_labels
from twofold.components.data.reading.reader import load_split
from twofold.components.data.reading.selected_rows import first_rows, rows_by_rules, select
from twofold.components.data.reading.split import Split
from twofold.components.data.store.manifest import Manifest
from twofold.components.errors import DataError
from twofold.components.methods.build import ImageShape
from twofold.components.transforms.decode import DecodeRule, decode_pixels, fit_pixels
from twofold.pipeline.runs.run_context import Context

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


def load(context: Context, manifest: Manifest, name: str, *, cache: str | None = None) -> Split:
    """Opens a split, decoded once or, as ``data.cache`` may say, whenever its images are read.

    Args:
        context: of the run.
        manifest: of the data set.
        name: of the split.
        cache: instead of ``data.cache``.

    """
    rule = decode_rule(context, manifest)
    has_size = set(manifest.image_sizes) == {f"{rule.height}x{rule.width}"}

    def fit(pixels: tf.Tensor) -> tf.Tensor:
        return pixels if has_size else fit_pixels(pixels, rule)

    with _lazy_bar(context, "decode", manifest.splits[name].images) as progress:
        return load_split(
            context.dataset_directory,
            name,
            # What was prepared is known to be sound, and the checks of serving would take as long
            # as the decoding of a small image.
            decode=lambda contents: fit(decode_pixels(contents, rule)),
            fit=fit,
            size=(rule.height, rule.width),
            channels=rule.channels,
            cache=cache or context.config.data.cache,
            cache_key=rule.fingerprint,
            progress=progress,
        )


@contextlib.contextmanager
def _lazy_bar(context: Context, description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives a call that shows a bar from the first time on that it is made."""
    with contextlib.ExitStack() as stack:
        shown: list[Callable[[int], None]] = []

        def show(done: int) -> None:
            if not shown:
                shown.append(stack.enter_context(context.progress(description, total, "images")))
            shown[0](done)

        yield show


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
        return join([self.labelled, self.unlabelled])

    @property
    def image_shape(self) -> ImageShape:
        """(H, W, C)."""
        height, width, channels = self.labelled.images.shape[1:]
        return height, width, channels


def load_training_images(context: Context, manifest: Manifest) -> TrainingImages:
    """Loads the training images, of whose labels ``data.label_share`` is kept.

    Raises:
        DataError: if there are none, or none as ``data.training_rules`` asks.

    """
    data = context.config.data
    parts = load_training_splits(context, manifest)
    labelled = keep_labels(next(iter(parts.values())), data.label_share, data.label_seed)
    if len(parts) == 1:
        return TrainingImages(labelled, labelled)
    if data.label_share < 1:
        # Images that lost their label belong to those without one.
        joined = join([labelled, parts["unlabelled"]])
        return TrainingImages(joined, joined)
    return TrainingImages(labelled, parts["unlabelled"])


def load_training_splits(
    context: Context, manifest: Manifest, *, cache: str | None = None
) -> dict[str, Split]:
    """Opens the splits to train on, with those images that the settings choose and all labels.

    Args:
        context: of the run.
        manifest: of the data set.
        cache: instead of ``data.cache``.

    Raises:
        DataError: if there are none, or none as ``data.training_rules`` asks.

    """
    parts = {
        name: load(context, manifest, name, cache=cache)
        for name in _TRAINING
        if name in manifest.splits
    }
    if not parts:
        raise DataError(
            f"{manifest.name} has no training images: expected a split {' or '.join(_TRAINING)}, "
            f"found {', '.join(manifest.splits)}"
        )
    if len({is_encoded(part) for part in parts.values()}) > 1:
        # There was room for one of them only; joined, both are read in the same way.
        parts = {name: load(context, manifest, name, cache="off") for name in parts}
    return _chosen(context, parts)


def _chosen(context: Context, parts: dict[str, Split]) -> dict[str, Split]:
    """Keeps the training images that the settings choose."""
    data = context.config.data
    if data.training_rules:
        rows = {name: rows_by_rules(part, data.training_rules) for name, part in parts.items()}
        if not any(map(len, rows.values())):
            raise DataError(
                f"none of the training images meets one of data.training_rules: "
                f"{[dict(rule) for rule in data.training_rules]}"
            )
        # Images without a label meet no rule for it.
        parts = {name: select(parts[name], rows[name]) for name in rows if len(rows[name])}
    if data.training_images is None:
        return parts
    if len(parts) > 1:
        raise DataError(
            f"data.training_images={data.training_images} needs one split to choose from, found "
            f"{', '.join(parts)}"
        )
    return {
        name: select(part, first_rows(part, data.training_images, data.training_seed))
        for name, part in parts.items()
    }
