"""Estimate of a run: what it will take, from a few steps that were measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from twofold.components.data.store.manifest import Manifest
from twofold.pipeline.config import RunConfig

# Of a training's checkpoints, the newest and the one before, and the weights that it ends with.
_CHECKPOINTS = 2


@dataclasses.dataclass(frozen=True)
class SplitCount:
    """Images of a split: those with a label, and those without."""

    labelled: int
    unlabelled: int

    @property
    def images(self) -> int:
        """All of them."""
        return self.labelled + self.unlabelled


@dataclasses.dataclass(frozen=True)
class Counted:
    """Images that were counted in a prepared data set.

    Attributes:
        splits: by name.
        dataset_bytes: of its files.

    """

    splits: Mapping[str, SplitCount]
    dataset_bytes: int


def count_images(manifest: Manifest) -> Counted:
    """Counts the images of a prepared data set."""
    splits = {
        name: SplitCount(split.images - split.unlabelled, split.unlabelled)
        for name, split in manifest.splits.items()
    }
    return Counted(splits, sum(file.bytes for file in manifest.every_file))


@dataclasses.dataclass(frozen=True)
class StageEstimate:
    """What a stage of training takes on the machine that measured it.

    Attributes:
        name: of the stage.
        batch_size: images a step, over all replicas.
        replicas: that share them.
        steps: updates in all.
        steps_per_epoch: updates an epoch.
        parameters: weights that gradients train, of all networks.
        weights_bytes: of all networks, with momentum networks and queues.
        optimizer_bytes: of what the optimizer keeps of each weight.
        step_bytes: of memory that a step takes beside these at its most, for activations,
            gradients and working space, on all replicas; None where that could not be measured.
        first_step_seconds: of the first step, which traces and compiles.
        step_seconds: of each step after it.
        trained: steps that an earlier attempt took.

    """

    name: str
    batch_size: int
    replicas: int
    steps: int
    steps_per_epoch: int
    parameters: int
    weights_bytes: int
    optimizer_bytes: int
    step_bytes: int | None
    first_step_seconds: float
    step_seconds: float
    trained: int = 0

    @property
    def left(self) -> int:
        """Steps that are to be taken."""
        return max(0, self.steps - self.trained)

    @property
    def images_seen(self) -> int:
        """Images over all steps, each as often as it is seen."""
        return self.steps * self.batch_size

    @property
    def seconds(self) -> float:
        """Of the steps that are left, without validation and checkpoints."""
        if not self.left:
            return 0.0
        return self.first_step_seconds + (self.left - 1) * self.step_seconds

    @property
    def checkpoint_bytes(self) -> int:
        """Of what the stage keeps on disk."""
        whole = self.weights_bytes + self.optimizer_bytes
        return _CHECKPOINTS * whole + self.weights_bytes


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a run takes on the machine that measured it.

    Attributes:
        device: that trains.
        splits: images by split.
        counted: whether the images were counted, in a prepared data set, or are expected.
        image_shape: (H, W, C) of what the encoder sees.
        features: D, the width of an embedding.
        steps: of the run, that are left to do.
        prepare_seconds: of preparation by one worker; 0 where the data set is there.
        stages: of training, in their order, that are left to do.
        embed_seconds: an image, of the finished encoder; 0 where no image is to be embedded.
        embedded_parts: how often each image is embedded, by the encoder and by baselines.
        dataset_bytes: of the prepared images.
        encoder_bytes: of the encoder's weights.

    """

    device: str
    splits: Mapping[str, SplitCount]
    counted: bool
    image_shape: tuple[int, int, int]
    features: int
    steps: tuple[str, ...]
    prepare_seconds: float
    stages: tuple[StageEstimate, ...]
    embed_seconds: float
    embedded_parts: int
    dataset_bytes: int
    encoder_bytes: int

    @property
    def images(self) -> int:
        """Of all splits."""
        return sum(split.images for split in self.splits.values())

    @property
    def evaluate_seconds(self) -> float:
        """Of embedding, without what is measured of the embeddings."""
        return self.images * self.embed_seconds * self.embedded_parts

    @property
    def seconds(self) -> float:
        """Of preparation, training and embedding."""
        trained = sum(stage.seconds for stage in self.stages)
        return self.prepare_seconds + trained + self.evaluate_seconds

    @property
    def memory_bytes(self) -> int | None:
        """Of the most demanding stage; None where that could not be measured."""
        most = 0
        for stage in self.stages:
            if stage.step_bytes is None:
                return None
            # Each replica has the weights, and what the optimizer keeps of them.
            own = stage.replicas * (stage.weights_bytes + stage.optimizer_bytes)
            most = max(most, own + stage.step_bytes)
        return most

    @property
    def disk(self) -> dict[str, int]:
        """Bytes by what takes them."""
        embedding = 4 * self.features * self.images * self.embedded_parts
        index = 4 * self.features * self.splits.get("train", SplitCount(0, 0)).labelled
        return {
            "data set": self.dataset_bytes,
            "decoded images": self.images * math.prod(self.image_shape),
            "checkpoints": sum(stage.checkpoint_bytes for stage in self.stages),
            "embeddings": embedding,
            "exported model": self.encoder_bytes + index,
        }


def training_rows(config: RunConfig, splits: Mapping[str, SplitCount]) -> int:
    """Returns how many images go into an epoch; of two streams, those of the unlabelled one.

    Rules that choose among the images are not counted out, so that it may be fewer.

    Args:
        config: of a stage.
        splits: of the prepared images.

    """
    data, training = config.data, config.training
    train, unlabelled = (splits.get(name, SplitCount(0, 0)) for name in ("train", "unlabelled"))
    labelled = math.ceil(train.labelled * data.label_share)
    without = train.images - labelled + unlabelled.images
    if training.labelled_batch_size is not None:
        # Where there is a split without labels, and all labels are kept, it is the stream.
        rows = unlabelled.images if unlabelled.images and data.label_share == 1 else without
    elif config.method.labelled_only or data.sampling == "balanced":
        rows = labelled
    else:
        rows = labelled + without
    return rows if data.training_images is None else min(rows, data.training_images)


def count_steps(config: RunConfig, splits: Mapping[str, SplitCount]) -> tuple[int, int]:
    """Returns the steps of a stage and of one of its epochs.

    Args:
        config: of the stage.
        splits: of the prepared images.

    """
    training, rows = config.training, training_rows(config, splits)
    batch = training.batch_size - (training.labelled_batch_size or 0)
    per_epoch = -(-rows // batch) if training.last_batch == "keep" else rows // batch
    return training.epochs * per_epoch, per_epoch
