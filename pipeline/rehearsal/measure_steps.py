"""Measurement of a few training steps: how long they take, and how much memory."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from twofold.components.training.precision import precision
from twofold.components.training.step import build_train_step
from twofold.pipeline.config import RunConfig
from twofold.pipeline.models.build import build_state, step_settings
from twofold.pipeline.models.method_builder import choose_and_build_method
from twofold.pipeline.rehearsal.estimate import StageEstimate
from twofold.pipeline.training.determinism import set_determinism
from twofold.pipeline.training.input_pipeline import InputPipeline
from twofold.pipeline.training.prepared_images import TrainingImages

# The step that compiles and one more come before those that are measured.
_WARM, _LEAST, _MOST, _SECONDS = 2, 3, 50, 5.0


def measure_stage(
    name: str,
    config: RunConfig,
    images: TrainingImages,
    strategy: tf.distribute.Strategy,
    lengths: tuple[int, int],
    rows: int,
) -> StageEstimate:
    """Trains a few steps of a stage with its own networks and batches.

    Args:
        name: of the stage.
        config: of the stage; its batches are to fit the images.
        images: few ones.
        strategy: whose replicas share a batch.
        lengths: the steps of the whole training, and of an epoch.
        rows: how many images the whole training has.

    """
    set_determinism(config.training.deterministic)
    batches = InputPipeline(config, images)
    replicas = strategy.num_replicas_in_sync
    batches.check(replicas)
    steps, per_epoch = lengths
    classes = len(images.labelled.class_names)
    with strategy.scope(), precision(config.training.precision):
        method = choose_and_build_method(
            config,
            images.image_shape,
            classes,
            max(1, steps),
            images=rows,
            batches=batches.part_sizes,
        ).method
    with strategy.scope():
        state = build_state(config, method, batches.loop_settings(), classes, replicas)
    train_step = build_train_step(strategy, method, state, step_settings(config, replicas))
    before = _memory()
    feed = iter(batches.distribute(strategy, 0, _WARM + _MOST))
    seconds = []
    began = time.perf_counter()
    for number in itertools.count(1):
        started = time.perf_counter()
        float(train_step(next(feed))["loss"])
        seconds.append(time.perf_counter() - started)
        if number == _WARM:
            _forget_most()
            began = time.perf_counter()
        measured = number - _WARM
        if measured >= _MOST or (measured >= _LEAST and time.perf_counter() - began >= _SECONDS):
            break
    most = _most_memory()
    weights = _bytes(
        variable for model in state.models.values() for variable in model.variables
    ) + _bytes(_variables_of(state.memory.values()))
    return StageEstimate(
        name=name,
        batch_size=config.training.batch_size,
        replicas=replicas,
        steps=steps,
        steps_per_epoch=per_epoch,
        parameters=sum(int(np.prod(one.shape)) for one in state.variables),
        weights_bytes=weights,
        optimizer_bytes=_bytes(state.optimizer.variables),
        step_bytes=None if before is None or most is None else max(0, most - before),
        first_step_seconds=seconds[0],
        step_seconds=float(np.median(seconds[_WARM:])),
    )


def _variables_of(parts: Iterable[object]) -> Iterable[keras.Variable | tf.Variable]:
    for part in parts:
        yield from getattr(part, "variables", ())


def _bytes(variables: Iterable[keras.Variable | tf.Variable]) -> int:
    return sum(
        int(np.prod(one.shape)) * tf.as_dtype(str(getattr(one.dtype, "name", one.dtype))).size
        for one in variables
    )


def _gpus() -> list[str]:
    return [f"GPU:{index}" for index in range(len(tf.config.list_logical_devices("GPU")))]


def _memory() -> int | None:
    """Returns the bytes in use now, of all GPUs, or else of this process."""
    gpus = _gpus()
    if gpus:
        return sum(int(tf.config.experimental.get_memory_info(one)["current"]) for one in gpus)
    return _of_process("VmRSS")


def _most_memory() -> int | None:
    """Returns the most bytes in use since ``_forget_most``."""
    gpus = _gpus()
    if gpus:
        return sum(int(tf.config.experimental.get_memory_info(one)["peak"]) for one in gpus)
    return _of_process("VmHWM")


def _forget_most() -> None:
    for one in _gpus():
        tf.config.experimental.reset_memory_stats(one)
    try:
        # Linux's way to begin anew with the largest resident size (proc(5)).
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _of_process(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(":")
        if key == field:
            return 1024 * int(value.split()[0])
    return None
