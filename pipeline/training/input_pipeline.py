"""Input pipeline of a training stage: which images a step takes, and how many steps there are."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from twofold.components.data.reading.label_subset import labelled_rows, unlabelled_rows
from twofold.components.data.reading.reader import batches, mixed_batches
from twofold.components.data.reading.row_streams import iterate, steps_per_epoch
from twofold.components.data.reading.sampling import rows_to_draw
from twofold.components.errors import UnfitSettingsError
from twofold.components.training.loop import LoopSettings
from twofold.pipeline.config import RunConfig, SwaSettings, TrainingSettings
from twofold.pipeline.models.build import snapshot_start
from twofold.pipeline.training.prepared_images import TrainingImages

# Keys are strings, which GPUs cannot hold.
_FIELDS = ("image", "label", "key_hash")
# Steps in one call where nobody says how many.
_ON_A_GPU = 8


@dataclasses.dataclass(frozen=True)
class InputPipeline:
    """Batches of one stage of training as a function of seed and step.

    Attributes:
        config: of the stage.
        images: to train on.
        section: what its settings of training are called, for messages.

    """

    config: RunConfig
    images: TrainingImages
    section: str = "training"

    @property
    def labelled_only(self) -> bool:
        """Whether images without a label are left out."""
        return self.config.method.labelled_only

    def steps_per_epoch(self) -> int:
        """How many steps go once through the images; of two streams, the unlabelled one."""
        training, images = self.config.training, self.images
        if training.labelled_batch_size is not None:
            unlabelled = training.batch_size - training.labelled_batch_size
            return steps_per_epoch(len(unlabelled_rows(images.unlabelled)), unlabelled)
        return steps_per_epoch(len(self._rows()), training.batch_size, keep_last=self._keeps_last)

    def images_after(self, steps: int) -> int:
        """How many images so many steps see, each as often as they do."""
        size = self.config.training.batch_size
        if not self._keeps_last:
            return steps * size
        epochs, rest = divmod(steps, self.steps_per_epoch())
        return epochs * self._rows_of_epoch + rest * size

    @functools.cached_property
    def _rows_of_epoch(self) -> int:
        return len(self._rows())

    @property
    def _keeps_last(self) -> bool:
        return self.config.training.last_batch == "keep"

    def _rows(self) -> np.ndarray:
        """The rows that the batches of one stream draw from."""
        return rows_to_draw(
            self.images.together,
            sampling=self.config.data.sampling,
            labelled_only=self.labelled_only,
        )

    def check(self, replicas: int) -> None:
        """Refuses batches and lengths that the images or the replicas do not allow.

        Raises:
            UnfitSettingsError: naming the field.
            DataError: if images are to be drawn by labels or weights that they do not have.
            SettingsError: if the method's settings do not fit them.

        """
        training, images, section = self.config.training, self.images, self.section
        labelled = training.labelled_batch_size
        if labelled is None:
            rows = len(self._rows())
            of_all = rows == len(images.together.images)
            kind = "training images" if of_all else "training images with a label"
            field = f"{section}.batch_size={training.batch_size}"
            parts = [(field, training.batch_size, rows, kind)]
            last = rows % training.batch_size
            if self._keeps_last and last:
                left = f"{section}.last_batch=keep leaves {last} of {rows} {kind}, which"
                parts = [(field, training.batch_size, training.batch_size, kind)]
                parts.append((left, last, last, kind))
        else:
            # Of one data set all splits have weights, or none.
            rows_to_draw(images.labelled, sampling=self.config.data.sampling)
            parts = [
                (
                    f"{section}.labelled_batch_size={labelled}",
                    labelled,
                    len(labelled_rows(images.labelled)),
                    "training images with a label",
                ),
                (
                    f"{section}.batch_size - {section}.labelled_batch_size="
                    f"{training.batch_size - labelled}",
                    training.batch_size - labelled,
                    len(unlabelled_rows(images.unlabelled)),
                    "training images without a label",
                ),
            ]
        for field, size, rows, kind in parts:
            if size > rows:
                raise UnfitSettingsError(f"{field} is larger than the {rows} {kind}")
            if size % (replicas * training.accumulate):
                raise UnfitSettingsError(
                    f"{field} must divide among {replicas} replicas and "
                    f"{section}.accumulate={training.accumulate} parts"
                )
        smallest = min(part[1] for part in parts) if labelled is None else training.batch_size
        each = smallest // (replicas * training.accumulate)
        if each < 2:
            of_last = smallest < training.batch_size
            named = f"{section}.last_batch=keep with " if of_last else ""
            raise UnfitSettingsError(
                f"{named}{section}.batch_size={training.batch_size} leaves {each} image for each "
                f"of {replicas} replicas and {section}.accumulate={training.accumulate} parts: "
                f"expected at least 2"
            )
        self._check_snapshots()
        self.config.method.check_size(self.trained_images, self.part_sizes, replicas)

    def _check_snapshots(self) -> None:
        """Refuses to average the weights of no step, or of a single one."""
        averaging, settings = self.config.training.averaging, self.loop_settings()
        if not isinstance(averaging, SwaSettings):
            return
        start = snapshot_start(averaging, settings)
        if start + averaging.period_steps < settings.steps:
            return
        taken = "no snapshot" if start >= settings.steps else f"one snapshot, after {start + 1}"
        raise UnfitSettingsError(
            f"{self.section}.averaging.start_epoch={averaging.start_epoch:g} with period_steps="
            f"{averaging.period_steps} takes {taken} of {settings.steps} steps "
            f"({settings.steps_per_epoch} an epoch): expected at least two, by an earlier start, a "
            f"shorter period or more {self.section}.epochs"
        )

    @property
    def trained_images(self) -> int:
        """How many images are trained on."""
        if self.config.training.labelled_batch_size is not None:
            return len(self.images.together.labels)
        return len(self._rows())

    @property
    def part_sizes(self) -> tuple[int, ...]:
        """How many images, over all replicas, have their loss and statistics computed together.

        Two numbers where the last batch of an epoch is smaller.
        """
        training = self.config.training
        last = self.trained_images % training.batch_size if self._keeps_last else 0
        sizes = (training.batch_size, last) if last else (training.batch_size,)
        return tuple(size // training.accumulate for size in sizes)

    def loop_settings(self) -> LoopSettings:
        """Returns how long to train and how often to do what."""
        training, per_epoch = self.config.training, self.steps_per_epoch()
        first, last = training.profile_steps or (0, -1)
        return LoopSettings(
            steps=training.epochs * per_epoch,
            steps_per_epoch=per_epoch,
            log_every=training.log_every,
            checkpoint_every=training.checkpoint_every_epochs * per_epoch,
            checkpoint_seconds=60 * training.checkpoint_minutes,
            steps_per_call=_steps_per_call(training),
            alone=range(first, last + 1),
        )

    def distribute(
        self, strategy: tf.distribute.Strategy, first_step: int, steps: int
    ) -> Iterable[dict[str, tf.Tensor]]:
        """Returns the batches of the steps from one on, a share for each replica."""
        replicas = strategy.num_replicas_in_sync

        def for_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            local = replicas // context.num_input_pipelines
            first = context.input_pipeline_id * local
            dataset = self._batches(first_step, steps, replicas, range(first, first + local))
            # A strategy of several replicas fetches ahead by itself.
            return dataset if replicas > 1 else _prefetched_to_gpu(dataset)

        return iterate(strategy.distribute_datasets_from_function(for_worker))

    def one_epoch(self) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """Gives the images, uint8 [B, H, W, C], and key_hashes, int64 [B], of the first epoch.

        A last, smaller batch is left out, unless it is the only one.
        """
        whole = len(self._rows()) // self.config.training.batch_size
        steps = min(self.steps_per_epoch(), max(1, whole)) if self._keeps_last else None
        for element in iterate(self._batches(0, steps or self.steps_per_epoch(), 1, range(1))):
            yield element["image"], element["key_hash"]

    def _batches(
        self, first_step: int, steps: int, replicas: int, replica_ids: range
    ) -> tf.data.Dataset:
        training, images = self.config.training, self.images
        common: dict[str, Any] = {
            "seed": self.config.seed,
            "first_step": first_step,
            "steps": steps - first_step,
            "replicas": replicas,
            "replica_ids": replica_ids,
            "sampling": self.config.data.sampling,
            "fields": _FIELDS,
        }
        labelled = training.labelled_batch_size
        if labelled is None:
            return batches(
                images.together,
                batch_size=training.batch_size,
                labelled_only=self.labelled_only,
                keep_last=self._keeps_last,
                **common,
            )
        return mixed_batches(
            images.unlabelled,
            images.labelled,
            unlabelled_batch_size=training.batch_size - labelled,
            labelled_batch_size=labelled,
            **common,
        )


def _steps_per_call(training: TrainingSettings) -> int:
    """Returns how many steps a call makes at most."""
    if training.steps_per_call is not None:
        return training.steps_per_call
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    # The last step of an interval is alone.
    return max(1, min(_ON_A_GPU, training.log_every - 1)) if on_gpu else 1


def _prefetched_to_gpu(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Copies the next batch to the GPU, where there is one, while it computes on this one."""
    gpus = tf.config.list_logical_devices("GPU")
    if not gpus:
        return dataset
    return dataset.apply(tf.data.experimental.prefetch_to_device(gpus[0].name))
