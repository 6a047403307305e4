"""Training alarms of a run: the rules that apply to its method and its images."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from twofold.components import distribute
from twofold.components.data.reading.split import Split
from twofold.components.training.alarms.alarm_watch import AlarmWatch, Watched
from twofold.components.training.alarms.feature_geometry import build_geometry_check
from twofold.components.training.alarms.rules import (
    Collapse,
    LossSpike,
    Rule,
    StaleQueue,
    StalledProbe,
    Starvation,
)
from twofold.components.training.step import TrainState
from twofold.pipeline.training.input_pipeline import InputPipeline


def build_alarms(
    batches: InputPipeline,
    state: TrainState,
    finished: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> AlarmWatch:
    """Builds the alarms that ``training.alarms`` asks for, as far as they apply.

    Args:
        batches: of the images to train on.
        state: what is trained.
        finished: gives the networks, within its block, the weights that training will end with.

    """
    training = batches.config.training
    settings = training.alarms
    per_epoch = batches.steps_per_epoch()
    watched = {
        name: Watched(rule, getattr(settings, name))
        for name, rule in _rules(batches, state, per_epoch).items()
        if getattr(settings, name) != "off"
    }
    starvation = watched.get("input_starvation")
    if starvation is not None and distribute.count_workers() > 1:
        # One may starve while others do not, and they have to end together.
        watched["input_starvation"] = dataclasses.replace(starvation, action="warn")
    every = settings.geometry_every * training.log_every
    return AlarmWatch(
        watched,
        on_divergence=training.on_divergence,
        measure=_geometry(batches, state, finished) if "collapse" in watched else None,
        measured=lambda step, epoch_ends: epoch_ends or step % every == 0,
        rollback_rate=settings.rollback_rate,
    )


def _rules(batches: InputPipeline, state: TrainState, per_epoch: int) -> dict[str, Rule]:
    training = batches.config.training
    settings = training.alarms
    rules: dict[str, Rule] = {
        "collapse": Collapse(
            settings.collapsed_deviation,
            None if "head" in state.models else settings.collapsed_rank,
            settings.collapsed_uniformity,
            settings.checks,
        ),
        "loss_spike": LossSpike(settings.spike_score),
        "input_starvation": Starvation(settings.starved_share, settings.checks),
    }
    drawn = training.labelled_batch_size
    labels = (batches.images.together if drawn is None else batches.images.labelled).labels
    known = labels[labels >= 0]
    # Where images are drawn by weights, the most common class is not that of the images.
    if state.probe is not None and len(known) and batches.config.data.sampling == "uniform":
        rules["stalled_probe"] = StalledProbe(
            chance=float(np.bincount(known).max() / len(known)),
            labelled=len(known) if drawn is None else per_epoch * drawn,
            steps_per_epoch=per_epoch,
            epochs=settings.probe_epochs,
        )
    queue: Any = state.memory.get("queue")
    if queue is not None:
        rules["stale_queue"] = StaleQueue(
            rows=int(queue.rows.shape[0]),
            images_per_epoch=per_epoch * training.batch_size,
            batch_size=training.batch_size,
        )
    return rules


def _stream(batches: InputPipeline) -> Split:
    """The images of one stream, or those without a label of two."""
    two = batches.config.training.labelled_batch_size is not None
    return batches.images.unlabelled if two else batches.images.together


def _geometry(
    batches: InputPipeline, state: TrainState, finished: Callable[[], AbstractContextManager[None]]
) -> Callable[[], Mapping[str, float]]:
    """Measures images whose keys hash to the least, the same ones each time."""
    training, split = batches.config.training, _stream(batches)
    count = min(training.alarms.geometry_images, training.batch_size, len(split.labels))
    order = np.argsort(split.key_hashes, kind="stable")
    images = np.asarray(split.images[np.sort(order[:count])])
    check = build_geometry_check(state.models, images)

    def measure() -> Mapping[str, float]:
        with finished():
            return check()

    return measure
