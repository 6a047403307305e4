"""Fine-tuning with labels, and the same network trained from scratch beside it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from twofold.components.data.reading.label_subset import keep_labels, labelled_rows
from twofold.components.data.reading.split import Split
from twofold.components.data.store.manifest import Manifest
from twofold.components.errors import DataError, TrainingDivergedError
from twofold.components.evaluation.embedding_store import EmbeddingStore
from twofold.components.evaluation.plots.study_plots import plot_fraction_curves
from twofold.components.evaluation.probes.fine_tuning import (
    Tuned,
    epochs_for,
    fraction_metrics,
    read_result,
    start_head,
    write_result,
)
from twofold.components.evaluation.probes.label_fractions import MeanInterval
from twofold.components.evaluation.probes.linear_probe import fit_logistic_regression
from twofold.components.methods.labelled.supervised_settings import SupervisedSettings
from twofold.components.methods.method import Method, to_unit_range
from twofold.components.training.checkpoint import (
    Checkpoints,
    is_final,
    read_final,
    read_weights,
    write_description,
    write_final,
    write_weights,
)
from twofold.components.training.loop import Callbacks, run_loop
from twofold.components.training.monitors import EarlyStopping
from twofold.components.training.optimizers.layer_rates import LayerwiseAdam, encoder_depths
from twofold.components.training.precision import keep_gradients, precision
from twofold.components.training.step import TrainState, build_train_step
from twofold.components.training.tensorboard import Rate, TensorBoardWriter
from twofold.components.training.validation import EpochRules, MonitoredMetric, build_validation
from twofold.components.transforms.policies_settings import NoViewsSettings
from twofold.pipeline.config import RunConfig, TrainingSettings
from twofold.pipeline.models.build import describe, step_settings
from twofold.pipeline.models.method_builder import build_method
from twofold.pipeline.runs.run_context import Context, after
from twofold.pipeline.runs.run_directory import fingerprint
from twofold.pipeline.steps.measures.embedded_images import array_name
from twofold.pipeline.steps.reuse.fingerprints import part_code, training_images
from twofold.pipeline.training.input_pipeline import InputPipeline
from twofold.pipeline.training.prepared_images import TrainingImages
from twofold.pipeline.training.stage import Data, Stage, set_aside_other_inputs

# The folders of a run: the fine-tuned encoder with its head, what was measured of others, curves.
FINETUNED = "finetuned"
MEASURED = "finetuned-measured"
CURVES = {"fine-tuned": "tensorboard-finetune", "from scratch": "tensorboard-finetune-scratch"}
PREFIXES = {"fine-tuned": "finetune", "from scratch": "finetune_scratch"}
_VALIDATION = "validation"
_BEST = "best"
_BATCH = 256


@dataclasses.dataclass(frozen=True)
class _Job:
    """One training with labels.

    Attributes:
        start: a key of ``CURVES``.
        epochs: passes over the labelled images.
        share: of the labels.
        draw: which subset of the labels, and which order of the images; 0 for the run's own.
        whole: whether it is the one with all labels, whose course is kept.

    """

    start: str
    epochs: int
    share: float = 1.0
    draw: int = 0
    whole: bool = True

    @property
    def pretrained(self) -> bool:
        return self.start == "fine-tuned"

    @property
    def kept(self) -> bool:
        """Whether its weights outlive the measure."""
        return self.whole and self.pretrained


@dataclasses.dataclass(frozen=True)
class _Images:
    """What all trainings share.

    Attributes:
        train: all training images, with those labels that the run has.
        held_out: measured on at the end.
        validation: to choose by and to monitor; None where there is only the held-out split.
        embeddings: of ``train``, by the pretrained encoder.

    """

    train: Split
    held_out: Split
    validation: Split | None
    embeddings: np.ndarray


def check_finetune(context: Context, manifest: Manifest) -> None:
    """Refuses to fine-tune without classes.

    Raises:
        DataError: if it is asked for and the data set has fewer than two classes.

    """
    epochs = context.config.evaluation.finetune_epochs
    if epochs is not None and len(manifest.class_names) < 2:
        raise DataError(
            f"evaluation.finetune_epochs={epochs} trains on labels: expected at least two classes "
            f"in {manifest.name}, found {len(manifest.class_names)}"
        )


def measure_finetuning(
    context: Context,
    details: dict[str, Any],
    store: EmbeddingStore,
    splits: Mapping[str, Split],
    held_out_name: str,
) -> dict[str, float]:
    """Fine-tunes as ``evaluation.finetune_*`` says, and measures held out; resumable.

    Args:
        context: of the run.
        details: takes what is recorded beside the metrics.
        store: with the embeddings of the training images.
        splits: the images: "train", the held-out split, and "validation" where there is one.
        held_out_name: the split to measure on.

    Returns:
        Metrics by name; none where fine-tuning is off.

    Raises:
        TrainingDivergedError: if the loss is no longer a finite number.

    """
    config = context.config.evaluation
    if config.finetune_epochs is None:
        return {}
    tf.config.experimental.enable_op_determinism()
    validation = splits.get(_VALIDATION) if held_out_name != _VALIDATION else None
    if validation is not None and not (validation.labels >= 0).any():
        validation = None
    images = _Images(
        splits["train"], splits[held_out_name], validation, store.read(array_name("train"))
    )
    starts = ["fine-tuned", *["from scratch"] * config.finetune_from_scratch]
    metrics: dict[str, float] = {}
    for start in starts:
        job = _Job(start, config.finetune_epochs)
        settings = _configure(context, job, images.train)
        length = _length(settings, images.train)
        with context.progress(start, length, "images") as show:
            metrics |= _tune(context, job, settings, images, show).metrics(PREFIXES[start])
            show(length)
    details["finetune"] = {
        "chosen_on": None if validation is None else _VALIDATION,
        "labels": len(labelled_rows(images.train)),
    }
    return metrics | _measure_fractions(context, images, starts, config.finetune_epochs)


def _measure_fractions(
    context: Context, images: _Images, starts: list[str], epochs: int
) -> dict[str, float]:
    """Does the same on parts of the labels, the smaller within the larger, several times each."""
    config = context.config.evaluation
    jobs = [
        _Job(start, epochs_for(share, epochs), share, draw, whole=False)
        for share in sorted(set(config.finetune_label_fractions))
        for draw in range(config.label_fraction_seeds)
        for start in starts
    ]
    if not jobs:
        return {}
    label_seed = context.config.data.label_seed
    kept = [keep_labels(images.train, job.share, label_seed + job.draw) for job in jobs]
    settings = [_configure(context, job, split) for job, split in zip(jobs, kept, strict=True)]
    lengths = [_length(one, split) for one, split in zip(settings, kept, strict=True)]
    tuned: dict[str, dict[float, list[Tuned]]] = {start: {} for start in starts}
    done = 0
    with context.progress("fewer labels", sum(lengths), "images") as show:
        for job, config_of, split, length in zip(jobs, settings, kept, lengths, strict=True):
            part = dataclasses.replace(images, train=split)
            found = _tune(context, job, config_of, part, after(show, done))
            tuned[job.start].setdefault(job.share, []).append(found)
            done += length
            show(done)
    curves: dict[str, dict[float, MeanInterval]] = {}
    metrics: dict[str, float] = {}
    for start in starts:
        curves[start], named = fraction_metrics(PREFIXES[start], tuned[start])
        metrics |= named
    plot_fraction_curves(
        curves,
        context.run.path / "figures" / "finetune_fractions.png",
        "Fine-tuned on fewer labels",
    )
    return metrics


def _configure(context: Context, job: _Job, train: Split) -> RunConfig:
    """Gives the configuration of a supervised run of its own."""
    whole = context.config
    config = whole.evaluation
    return whole.model_copy(
        update={
            "seed": whole.seed + job.draw,
            "method": SupervisedSettings(),
            "views": config.finetune_views or whole.probe_views or NoViewsSettings(),
            "second_views": None,
            "probe_views": None,
            "training": TrainingSettings(
                batch_size=min(config.finetune_batch_size, len(labelled_rows(train))),
                epochs=job.epochs,
                learning_rate=config.finetune_learning_rate,
                schedule="constant",
                precision=whole.training.precision,
                compile=whole.training.compile,
                log_every=whole.training.log_every,
                checkpoint_every_epochs=whole.training.checkpoint_every_epochs,
            ),
        }
    )


def _length(config: RunConfig, train: Split) -> int:
    """How many images a training sees."""
    steps = InputPipeline(config, TrainingImages(train, train)).loop_settings().steps
    return steps * config.training.batch_size


def _tune(
    context: Context,
    job: _Job,
    config: RunConfig,
    images: _Images,
    show: Callable[[int], None],
) -> Tuned:
    """Trains from the newest checkpoint of the same inputs, or from the start, and measures."""
    stage = _stage(context, job, config, images)
    set_aside_other_inputs(stage, context.run.set_aside)
    found = read_result(stage.checkpoints)
    if found is not None and (is_final(stage.checkpoints) or not job.kept):
        return found
    method = _train(context, job, stage, images, show)
    if job.kept:
        write_final(stage.checkpoints, method.models)
    correct, best = _count_correct(method, images.held_out), None
    if job.whole and images.validation is not None:
        read_weights(stage.checkpoints / _BEST, method.models)
        best = _count_correct(method, images.held_out)
    total = int((images.held_out.labels >= 0).sum())
    tuned = Tuned(total, correct, best)
    write_result(stage.checkpoints, tuned)
    _forget_course(stage.checkpoints)
    return tuned


def _count_correct(method: Method, split: Split) -> int:
    """Counts the labelled images that the finished networks classify correctly."""
    encoder, head = method.models["encoder"], method.models["head"]
    known, correct = labelled_rows(split), 0
    # Not compiled: tracing anew for each of many networks would take longer than it saves.
    for start in range(0, len(known), _BATCH):
        rows = known[start : start + _BATCH]
        view = to_unit_range(tf.constant(np.asarray(split.images[rows])))
        logits = head(encoder(view, training=False), training=False)
        correct += int((tf.argmax(logits, axis=1).numpy() == split.labels[rows]).sum())
    return correct


def _stage(context: Context, job: _Job, config: RunConfig, images: _Images) -> Stage:
    settings = config.model_dump(mode="json")
    inputs: dict[str, Any] = {
        **training_images(context),
        "code": part_code("finetune", context),
        **{key: settings[key] for key in ("seed", "views", "encoder", "training")},
        "held_out": images.held_out.name,
        "share": job.share,
        "draw": job.draw,
    }
    if job.pretrained:
        inputs |= {
            "pretrain": context.run.fingerprint_of("pretrain"),
            "head": context.config.evaluation.finetune_head,
            "layer_decay": context.config.evaluation.finetune_layer_decay,
        }
    folder = context.run.path / FINETUNED
    if not job.kept:
        part = "all" if job.whole else f"{job.share:g}-{job.draw}"
        folder = context.run.path / MEASURED / f"{PREFIXES[job.start]}-{part}"
    return Stage(
        name=job.start,
        config=config,
        fingerprint=fingerprint(inputs),
        checkpoints=folder,
        tensorboard=context.run.path / CURVES[job.start] if job.whole else folder / "tensorboard",
    )


def _train(
    context: Context, job: _Job, stage: Stage, images: _Images, show: Callable[[int], None]
) -> Method:
    config, train = stage.config, images.train
    training = TrainingImages(train, train)
    data = Data(training, images.validation)
    batches = InputPipeline(config, training)
    settings = batches.loop_settings()
    strategy = tf.distribute.get_strategy()
    with precision(config.training.precision):
        method = build_method(config, data.image_shape, len(train.class_names), settings.steps)
    if job.pretrained:
        _start_from_pretraining(context, method, images)
    state = TrainState(
        models=method.models,
        optimizer=keep_gradients(_optimizer(context, job, method), config.training.precision),
        extra={"best": EarlyStopping(config.training.epochs + 1, mode="max")},
    )
    state.build()
    checkpoints = Checkpoints(stage.checkpoints, state)
    write_description(
        stage.checkpoints,
        {
            **describe(config, data.image_shape, stage.fingerprint),
            "class_names": list(train.class_names),
        },
    )
    batch_size = config.training.batch_size
    writer = TensorBoardWriter(stage.tensorboard) if job.whole else None
    rate = Rate(batch_size)

    def on_metrics(step: int, means: Mapping[str, float]) -> None:
        if writer is not None:
            writer.scalars(step, {**means, "images_per_second": rate.since(step)})

    def batches_from(first_step: int) -> Any:
        rate.begin(first_step)
        return batches.distribute(strategy, first_step, settings.steps)

    try:
        run_loop(
            state,
            build_train_step(strategy, method, state, step_settings(config, 1)),
            batches_from,
            checkpoints,
            settings,
            Callbacks(metrics=on_metrics, progress=lambda step: show(step * batch_size)),
            _epoch_rules(stage, images, state) if job.whole else None,
        )
    except TrainingDivergedError as error:
        raise TrainingDivergedError(
            f"{job.start}: the loss is no longer a finite number: expected a lower "
            f"evaluation.finetune_learning_rate, received {config.training.learning_rate:g}"
        ) from error
    finally:
        if writer is not None:
            writer.close()
    return method


def _start_from_pretraining(context: Context, method: Method, images: _Images) -> None:
    """Gives the encoder what pretraining ended with, and the head a probe where that is set.

    The probe was fitted on features in inference mode. Where batch statistics are far from the
    running ones, after a few steps of pretraining or of quite other views, it starts badly.
    """
    read_final(context.run.path / "checkpoints", {"encoder": method.models["encoder"]})
    config = context.config.evaluation
    if config.finetune_head == "linear_probe":
        # On the labels of this training alone, of which others would be a leak.
        rows = labelled_rows(images.train)
        probe = fit_logistic_regression(
            images.embeddings[rows],
            images.train.labels[rows],
            classes=len(images.train.class_names),
            regularisation=config.regularisation,
        )
        start_head(method.models["head"], probe)


def _optimizer(context: Context, job: _Job, method: Method) -> keras.optimizers.Optimizer:
    config = context.config.evaluation
    decay = config.finetune_layer_decay
    # First weights hold nothing that small steps could protect.
    if decay is None or not job.pretrained:
        return keras.optimizers.Adam(config.finetune_learning_rate, epsilon=1e-8)
    depths = {
        "encoder": encoder_depths(method.models["encoder"]),
        "head": [0] * len(method.models["head"].trainable_variables),
    }
    # In the order of ``TrainState.variables``.
    factors = [decay**depth for name in sorted(method.models) for depth in depths[name]]
    return LayerwiseAdam(config.finetune_learning_rate, factors)


def _epoch_rules(stage: Stage, images: _Images, state: TrainState) -> EpochRules:
    """Validates on the validation images, or else the held-out ones, which choose nothing."""
    observed = images.held_out if images.validation is None else images.validation
    validate = build_validation(
        state.models["encoder"],
        state.models["head"],
        observed.images,
        observed.labels,
        observed.name,
    )
    if images.validation is None:
        return EpochRules(validate)
    return EpochRules(
        validate,
        # Its patience outlasts the training, so that it only marks the best.
        early_stopping=MonitoredMetric(f"{observed.name}/accuracy", state.extra["best"]),
        keep_best=lambda: write_weights(stage.checkpoints / _BEST, state.models),
    )


def _forget_course(folder: Path) -> None:
    """Removes what only a resume needs."""
    shutil.rmtree(folder / _BEST, ignore_errors=True)
    for path in (folder / "checkpoint", *folder.glob("ckpt-*")):
        path.unlink(missing_ok=True)
