"""Stage driver: what every training does, from the first weights to the last; resumable."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from twofold.components.training.alarms.alarm_watch import Alarm, AlarmWatch
from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.continuing.phases import Phase
from twofold.components.training.loop import Callbacks, LoopSettings, run_loop
from twofold.components.training.method import Method
from twofold.components.training.precision import precision
from twofold.components.training.reporting.intervals import IntervalClock
from twofold.components.training.resuming.background_writer import BackgroundWriter
from twofold.components.training.resuming.best_checkpoints import BestCheckpoints
from twofold.components.training.resuming.checkpoint_files import recorded_fingerprint
from twofold.components.training.resuming.checkpoint_store import CheckpointStore
from twofold.components.training.resuming.interruption import Interruption
from twofold.components.training.resuming.weights_files import (
    final_directory,
    is_final,
    read_final,
    write_description,
    write_final,
)
from twofold.components.training.several_steps import build_several_steps
from twofold.components.training.step import Batch, TrainState, build_train_step
from twofold.components.training.tensorboard.event_writer import TensorBoardWriter
from twofold.components.training.validation import EpochRules
from twofold.components.training.workers.agreement import Agreement
from twofold.components.training.workers.shared_checkpoints import (
    SharedCheckpoints,
    share_directory,
)
from twofold.components.training.workers.worker_group import WorkerGroup
from twofold.pipeline.config import RunConfig
from twofold.pipeline.config.typed_values import as_yaml
from twofold.pipeline.models.build import describe, step_settings
from twofold.pipeline.models.method_builder import CHOICES, choose_and_build_method
from twofold.pipeline.runs.run_context import ProgressFactory
from twofold.pipeline.training.course_reports import Attendance, CourseReports
from twofold.pipeline.training.determinism import set_determinism
from twofold.pipeline.training.expected_time import ExpectedTime
from twofold.pipeline.training.input_pipeline import InputPipeline
from twofold.pipeline.training.monitoring.training_board import (
    TrainingBoard,
    WatchedImages,
    show_networks,
)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A training of its own: a method on images, in a directory.

    Attributes:
        name: for people.
        config: of this stage.
        fingerprint: of all that its weights come from.
        checkpoints: where its weights and its description are kept.
        tensorboard: where its curves are kept; None where nobody will look at them.
        metrics: the file of its intervals, JSON lines; None where nobody is told of them.
        teacher: checkpoint directory of a finished teacher, for self-training.
        phases: of a training that was continued; empty for one by its settings alone.
        attendance: who is told of its course.
        workers: with which it is one training; None where it is alone.
        callbacks: the user's own, with their names.
        writer: of its checkpoints and of the weights of its best epoch, in the background.

    """

    name: str
    config: RunConfig
    fingerprint: str
    checkpoints: Path
    tensorboard: Path | None
    metrics: Path | None = None
    teacher: Path | None = None
    phases: Sequence[Phase] = ()
    attendance: Attendance = dataclasses.field(default_factory=Attendance)
    workers: WorkerGroup | None = None
    callbacks: Sequence[tuple[str, Any]] = ()
    writer: BackgroundWriter = dataclasses.field(default_factory=BackgroundWriter)


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """What one kind of training does its own way.

    Attributes:
        batches: of the images to train on.
        build_state: from the method and the lengths to what is trained, with the weights that it
            starts from; called in the strategy's scope.
        epoch_rules: what is measured and decided after each epoch; None for nothing.
        final_weights: gives the networks the weights that training ends with, which are written
            and stand for the stage from then on; None where its caller decides what is kept.
        learning_rate_curve: whether the learning rate is among the curves.
        description: for ``model.json``, beside what an encoder is rebuilt from.
        alarms: that look at what is trained; by default those of a loss that is no number.
        watched: what TensorBoard shows the course by; by default the weights alone.
        best: what the epoch rules offer the weights of each epoch to; None where none are kept.

    """

    batches: InputPipeline
    build_state: Callable[[Method, LoopSettings], TrainState]
    epoch_rules: Callable[[TrainState], EpochRules | None]
    final_weights: Callable[[TrainState], None] | None
    learning_rate_curve: bool
    description: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    alarms: Callable[[TrainState], AlarmWatch] = lambda state: AlarmWatch()
    watched: Callable[[TrainState], WatchedImages | None] = lambda state: None
    best: BestCheckpoints | None = None


def set_aside_other_inputs(stage: Stage, set_aside: Callable[..., None]) -> None:
    """Sets aside the checkpoints and curves of other inputs, which training must not go on from.

    Call it once, before anything writes to the stage's directories.

    Args:
        stage: about to be trained.
        set_aside: moves the directories that it is given to where they are kept.

    """
    try:
        text = (stage.checkpoints / "model.json").read_text(encoding="utf-8")
        present = json.loads(text)
    except (FileNotFoundError, ValueError):
        # Its checkpoints record it, too.
        present = {"fingerprint": recorded_fingerprint(stage.checkpoints)}
    if present.get("fingerprint") != stage.fingerprint:
        curves = (path for path in (stage.tensorboard, stage.metrics) if path is not None)
        places = (stage.checkpoints, *curves)
        moved = " and ".join(one.name for one in places if _has_content(one))
        set_aside(*places)
        if moved:
            stage.attendance.say(f"{stage.name}: {moved} of other settings moved to superseded/")


def _has_content(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def train_stage(
    stage: Stage, plan: StagePlan, strategy: tf.distribute.Strategy, progress: ProgressFactory
) -> Method:
    """Trains from the newest checkpoint of the same inputs, or from the start.

    Call ``set_aside_other_inputs`` before.

    Args:
        stage: what to train and where.
        plan: how.
        strategy: whose replicas share each batch.
        progress: shows how many images were seen.

    Returns:
        The method with its finished networks.

    Raises:
        TrainingDivergedError: if the loss, or a weight, is no longer a finite number.
        AlarmError: if another alarm stopped it.
        Interruption: if training was told to end before its last step, or lost a worker.
        OSError: if a checkpoint cannot be written, such as on a full disk.
        ValueError: if the images do not fit the networks.

    """
    config, batches = stage.config, plan.batches
    set_determinism(config.training.deterministic)
    replicas = strategy.num_replicas_in_sync
    settings = batches.loop_settings()
    classes = len(batches.images.labelled.class_names)
    shape = batches.images.image_shape
    begun = stage.phases[0].epochs * settings.steps_per_epoch if stage.phases else None
    with strategy.scope(), precision(config.training.precision):
        chosen = choose_and_build_method(
            config,
            shape,
            classes,
            settings.steps,
            stage.teacher,
            images=batches.trained_images,
            batches=batches.part_sizes,
            begun_steps=begun,
        )
    method = chosen.method
    write_description(
        stage.checkpoints,
        {
            **describe(config, shape, stage.fingerprint),
            CHOICES: {
                one.key: {"value": one.value, "reason": one.reason} for one in chosen.choices
            },
            **plan.description,
        },
    )
    if plan.final_weights is not None and _is_final(stage):
        read_final(stage.checkpoints, method.models)
        return method
    for one in chosen.choices:
        stage.attendance.say(f"method.{one.key}={as_yaml(one.value)}: {one.reason}")
    with strategy.scope():
        state = plan.build_state(method, settings)
    checkpoints: CheckpointStore = Checkpoints(
        stage.checkpoints,
        state,
        config.training.keep_checkpoints,
        fingerprint=stage.fingerprint,
        beside=best_weights(stage),
        say=stage.attendance.say,
        writer=stage.writer,
        best=plan.best,
    )
    stop, workers = stage.attendance.stop, stage.workers
    agreement = None
    if workers is not None:
        checkpoints = SharedCheckpoints(checkpoints, stage.checkpoints, workers)
        agreement = Agreement(workers, stop)
    train_step = build_train_step(strategy, method, state, step_settings(config, replicas))
    several = None
    if settings.steps_per_call > 1:
        several = build_several_steps(strategy, train_step, settings.steps_per_call)
    if workers is not None:
        train_step = workers.counted(train_step)
        several = several and workers.counted(several)
    writer = board = None
    if stage.tensorboard is not None:
        show_networks(stage.tensorboard, method, shape)
        writer = TensorBoardWriter(stage.tensorboard)
        board = TrainingBoard(
            writer, stage.tensorboard, method, config.training, settings, plan.watched(state)
        )
        train_step = board.watch(train_step)
        several = several and board.watch_several(several)
    clock = IntervalClock(
        stage.name, settings.steps, settings.steps_per_epoch, batches.images_after
    )
    reports = CourseReports(
        stage.name,
        stage.attendance,
        clock,
        file=stage.metrics,
        writer=writer,
        learning_rate_curve=plan.learning_rate_curve,
        callbacks=stage.callbacks,
        about={
            "run": config.name,
            "id": f"{config.name}-{stage.name.replace(' ', '-')}-{stage.fingerprint}",
            "directory": str((stage.metrics or stage.checkpoints).parent.absolute()),
            "configuration": config.model_dump(mode="json"),
        },
    )

    def on_metrics(step: int, means: Mapping[str, float]) -> None:
        reports.interval(step, means)
        if board is not None:
            board.show(step)

    alarms = plan.alarms(state)

    def on_alarm(alarm: Alarm) -> None:
        # What stops training is what its command says in the end.
        if alarm.action != "stop":
            stage.attendance.say(f"{stage.name}: {alarm.line}")
        if writer is not None:
            writer.text(alarm.step, f"alarms/{alarm.name}", alarm.line)
        stage.attendance.alarms(stage.name, alarms.raised)
        reports.alarm(alarm)

    alarms.told = on_alarm

    def on_long(seconds: float) -> None:
        # Where one of several workers stopped to try something, the others would wait.
        if workers is None:
            # Told to end meanwhile, training does so by itself, with a checkpoint.
            with contextlib.suppress(Interruption):
                stage.attendance.long(seconds)
            # What was tried meanwhile is no step's time.
            clock.begin(state.step)

    expected = ExpectedTime(settings.steps, on_long)

    def on_progress(show: Callable[[int], None], step: int) -> None:
        show(batches.images_after(step))
        expected(step)

    def batches_from(first_step: int) -> Iterable[Batch]:
        clock.begin(first_step)
        if board is not None:
            board.begin(first_step)
        return batches.distribute(strategy, first_step, settings.steps)

    total = batches.images_after(settings.steps)
    with reports.of_the_end(state, settings.steps):
        try:
            with progress(stage.name, total, "images") as show:
                run_loop(
                    state,
                    train_step,
                    batches_from,
                    checkpoints,
                    settings,
                    Callbacks(
                        metrics=on_metrics,
                        progress=functools.partial(on_progress, show),
                        saved=stage.attendance.saved,
                        resumed=lambda step: reports.begin(step, settings, replicas),
                        saving=reports.flush,
                    ),
                    plan.epoch_rules(state),
                    stop,
                    alarms,
                    agreement,
                    several,
                )
        finally:
            stage.attendance.alarms(stage.name, alarms.raised)
            if board is not None:
                board.close()
            if writer is not None:
                writer.close()
        if plan.final_weights is not None:
            plan.final_weights(state)
            write_final(stage.checkpoints, state.models)
        if plan.best is not None:
            plan.best.finish()
    return method


def _is_final(stage: Stage) -> bool:
    """Tells whether the training has ended; of several workers, the chief's, which others copy."""
    final = is_final(stage.checkpoints, stage.attendance.say)
    if stage.workers is None:
        return final
    directory = final_directory(stage.checkpoints)
    return share_directory(stage.workers, directory, there=final)


def best_weights(stage: Stage) -> Path:
    """Returns the directory of the weights of the best epoch, where epoch rules keep them."""
    return stage.checkpoints / "best"
