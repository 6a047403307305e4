"""Prepared images as the encoder takes them: one size, one rule.

What decides during training (when it stops, when the learning rate falls) is never what is
reported. Where a data set has test images, its validation images decide. Where it has validation
images alone, these are reported, and a tenth of the labelled training images decides instead and
is not trained on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from twofold.components.data.reading.joined_splits import is_encoded, join
from twofold.components.data.reading.label_subset import keep_labels
from twofold.components.data.reading.reader import load_split
from twofold.components.data.reading.selected_rows import first_rows, rows_by_rules, select
from twofold.components.data.reading.split import Split
from twofold.components.data.store.manifest import Manifest
from twofold.components.errors import DataError
from twofold.components.evaluation.probes.hyperparameters import validation_rows
from twofold.components.methods.build import ImageShape
from twofold.components.transforms.decode import DecodeRule, decode_pixels, fit_pixels
from twofold.pipeline.config import RunConfig
from twofold.pipeline.runs.run_context import Context

_TRAINING = ("train", "unlabelled")
_DECIDING_SHARE = 0.1


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
        deciding: labelled images that were cut from the training images to decide during
            training, or None where nothing is decided or a validation split may do it.

    """

    labelled: Split
    unlabelled: Split
    deciding: Split | None = None

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
    parts, deciding = _load_parts(context, manifest, cache=None)
    labelled = keep_labels(next(iter(parts.values())), data.label_share, data.label_seed)
    if len(parts) == 1:
        return TrainingImages(labelled, labelled, deciding)
    if data.label_share < 1:
        # Images that lost their label belong to those without one.
        joined = join([labelled, parts["unlabelled"]])
        return TrainingImages(joined, joined, deciding)
    return TrainingImages(labelled, parts["unlabelled"], deciding)


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
    return _load_parts(context, manifest, cache=cache)[0]


def needs_deciding_images(config: RunConfig, manifest: Manifest) -> bool:
    """Tells whether a rule of training needs images that are cut from the training images."""
    trainings = [config.training]
    if config.method.teacher_stage is not None:
        trainings.append(config.method.teacher_stage.training)
    rules = (rule for one in trainings for rule in (one.plateau, one.early_stopping, one.keep_best))
    reported = "validation" in manifest.splits and "test" not in manifest.splits
    return reported and any(rule is not None for rule in rules)


def _load_parts(
    context: Context, manifest: Manifest, *, cache: str | None
) -> tuple[dict[str, Split], Split | None]:
    """Opens the splits to train on, and the images cut from them to decide during training."""
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
    parts = _chosen(context, parts)
    if not needs_deciding_images(context.config, manifest):
        return parts, None
    return _cut_deciding_images(context, manifest, parts)


def _cut_deciding_images(
    context: Context, manifest: Manifest, parts: dict[str, Split]
) -> tuple[dict[str, Split], Split]:
    name, train = next(iter(parts.items()))
    known = np.flatnonzero(train.labels >= 0)
    marked = validation_rows(
        train.keys[known], train.labels[known], share=_DECIDING_SHARE, seed=context.config.seed
    )
    if not marked.any():
        raise DataError(
            f"early stopping and the plateau rule need labelled images that are not reported: "
            f"{manifest.name} has no test images, so that its validation images are reported, and "
            f"of no class has it two training images, of which one could decide"
        )
    rows = known[marked]
    deciding = dataclasses.replace(select(train, rows), name="validation")
    return {**parts, name: select(train, np.delete(np.arange(len(train.labels)), rows))}, deciding


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
