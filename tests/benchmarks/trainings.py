"""Trainings that are timed: by a recipe, or without a part of what goes on beside its steps."""

from __future__ import annotations

import contextlib
import functools
import math
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from twofold.components.data.reading.split import Split
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.recipes import load_recipe
from twofold.pipeline.training.prepared_images import TrainingImages
from twofold.pipeline.training.pretraining import Data, pretrain
from twofold.pipeline.training.stage import Stage

# Runs one step and returns a number that is there only when the step is done.
Step = Callable[[], float]
CLASSES = 3
# What is left out of a training.
NO_CHECKPOINTS = (
    f"training.checkpoint_every_epochs={1 << 30}",
    f"training.checkpoint_minutes={1e9:g}",
)
NO_ALARMS = tuple(
    f"training.alarms.{name}=off"
    for name in ("collapse", "loss_spike", "stalled_probe", "input_starvation")
)
SETTINGS = {
    "quickstart": ("quickstart", 20_000),
    "resnet": ("quickstart", 2_048),
}
_OF_RESNET = (
    "encoder={name: resnet18}",
    "training.batch_size=64",
    "training.log_every=16",
    "training.epochs=12",
)


def configure(size: str, *settings: str) -> RunConfig:
    """Gives the configuration of a training: a key of ``SETTINGS``, and what differs."""
    recipe, _ = SETTINGS[size]
    own = _OF_RESNET if size == "resnet" else ()
    return override(load_recipe(recipe), [*own, *settings])


def build(size: str, *, checkpoints: bool, monitors: bool, alarms: bool) -> Step:
    """Begins a training that makes a step, and what is due after it, each time it is called.

    Monitors are TensorBoard with its snapshots, the metrics file and the validation of each epoch.
    """
    left_out = (*(() if checkpoints else NO_CHECKPOINTS), *(() if alarms else NO_ALARMS))
    config = configure(size, *left_out)
    return _Stepped(config, SETTINGS[size][1], monitors=monitors)


class _Stepped:
    """A training in a thread of its own, which waits before each step."""

    def __init__(self, config: RunConfig, images: int, *, monitors: bool) -> None:
        self._go, self._made = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        self._folder = tempfile.TemporaryDirectory()
        training = threading.Thread(
            target=self._train, args=(config, images, monitors), daemon=True
        )
        training.start()
        # It says where it goes on from before its first step.
        self._await()

    def __call__(self) -> float:
        self._go.release()
        self._await()
        return 0.0

    def _await(self) -> None:
        self._made.acquire()
        if self._error is not None:
            raise self._error

    @contextlib.contextmanager
    def _shown(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        def show(done: int) -> None:
            self._made.release()
            self._go.acquire()

        yield show

    def _train(self, config: RunConfig, images: int, monitors: bool) -> None:
        folder = Path(self._folder.name)
        train = _split("train", images, config.data.image_size or 32)
        stage = Stage(
            name="pretrain",
            config=config,
            fingerprint="benchmark",
            checkpoints=folder / "checkpoints",
            tensorboard=folder / "tensorboard" if monitors else None,
            metrics=folder / "metrics.jsonl" if monitors else None,
        )
        data = Data(
            TrainingImages(train, train),
            _split("validation", images // 10, config.data.image_size or 32) if monitors else None,
        )
        try:
            pretrain(stage, data, tf.distribute.get_strategy(), self._shown)
        except BaseException as error:
            self._error = error
            self._made.release()


def _split(name: str, count: int, side: int) -> Split:
    """Draws images whose classes differ by their brightness."""
    random = np.random.default_rng([count, len(name)])
    labels = np.arange(count, dtype=np.int32) % CLASSES
    pixels = random.integers(0, 128, (count, side, side, 1), dtype=np.uint8)
    return Split(
        images=pixels + (40 * labels[:, None, None, None]).astype(np.uint8),
        labels=labels,
        keys=np.array([f"{name}/{index}" for index in range(count)]),
        latents=np.zeros((count, 0), np.float32),
        class_names=tuple("abc"),
        latent_names=(),
        name=name,
    )


def steps_of(size: str) -> tuple[int, int]:
    """Gives how many steps an epoch has, and how many epochs there are."""
    config, images = configure(size), SETTINGS[size][1]
    return math.floor(images / config.training.batch_size), config.training.epochs


VARIANTS: dict[str, Callable[[str], Step]] = {
    "defaults": functools.partial(build, checkpoints=True, monitors=True, alarms=True),
    "no checkpoints": functools.partial(build, checkpoints=False, monitors=True, alarms=True),
    "no monitors": functools.partial(build, checkpoints=True, monitors=False, alarms=True),
    "no alarms": functools.partial(build, checkpoints=True, monitors=True, alarms=False),
    "none": functools.partial(build, checkpoints=False, monitors=False, alarms=False),
}
