"""Training step: forward, backward and update, the same on one device and on several."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from twofold.components import distribute, keyed_random
from twofold.components.training.method import (
    Method,
    MethodInput,
    MethodOutput,
    ViewFunction,
    sample_views,
)
from twofold.components.training.optimizers.gradients import apply_gradients

Batch = Mapping[str, tf.Tensor]
TrainStep = Callable[[Batch], dict[str, tf.Tensor]]

# What an image's key is folded with for the probe's view.
PROBE_VIEW = 0x960BE


class Average(Protocol):
    """Averaged weights that follow the trained ones, as in ``training.averaging``."""

    @property
    def ready(self) -> bool:
        """Whether there is an average yet."""

    def update(self, step: tf.Tensor) -> None:
        """Takes the weights after an update into the average."""

    def assign_to(self, variables: Sequence[keras.Variable]) -> None:
        """Gives weights their averages."""


@dataclasses.dataclass(frozen=True)
class OnlineProbe:
    """A linear classifier trained beside the encoder on its features, without touching it.

    Attributes:
        head: features [B, D] to logits [B, K].
        optimizer: the head's own.
        view: what to draw of the labelled images for the probe alone, whose features the encoder
            then gives in inference mode (recipe A); None for the features of the method's own view.
        labelled_rows: with ``view``, how many images at the end of a replica's batch to take; None
            for all.
        compile_view: whether XLA compiles that view.

    """

    head: keras.Model
    optimizer: keras.optimizers.Optimizer
    view: ViewFunction | None = None
    labelled_rows: int | None = None
    compile_view: bool = True


@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that changes during training.

    Attributes:
        models: what gradients train, by name.
        optimizer: of the models.
        probe: beside the encoder, or None.
        memory: a method's queues, momentum networks and the like.
        average: of the models' weights, or None.
        extra: other trackables that a checkpoint must hold, such as monitors.
        steps: int64 scalar, updates made; made with the state.

    """

    models: Mapping[str, keras.Model]
    optimizer: keras.optimizers.Optimizer
    probe: OnlineProbe | None = None
    memory: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    average: Average | None = None
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    steps: tf.Variable = dataclasses.field(
        default_factory=lambda: tf.Variable(
            0,
            trainable=False,
            dtype=tf.int64,
            name="steps",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
    )

    @property
    def variables(self) -> list[keras.Variable]:
        """The trained weights, in one order."""
        return [
            variable
            for name in sorted(self.models)
            for variable in self.models[name].trainable_variables
        ]

    @property
    def trackables(self) -> dict[str, Any]:
        """What a checkpoint holds, by name."""
        objects: dict[str, Any] = {
            **self.models,
            **self.memory,
            **self.extra,
            "optimizer": self.optimizer,
            "steps": self.steps,
        }
        if self.probe is not None:
            objects |= {"probe": self.probe.head, "probe_optimizer": self.probe.optimizer}
        if self.average is not None:
            objects["average"] = self.average
        return objects

    @property
    def step(self) -> int:
        """How many updates were made."""
        return int(self.steps.numpy())

    def build(self) -> None:
        """Creates the optimizers' slots, which must exist before a checkpoint is restored."""
        self.optimizer.build(self.variables)
        if self.probe is not None:
            self.probe.optimizer.build(self.probe.head.trainable_variables)


@dataclasses.dataclass(frozen=True)
class StepSettings:
    """How a step is made.

    Attributes:
        seed: of the views.
        clip_norm: the largest norm of the whole gradient of the global batch; None does not clip.
        accumulate: into how many parts each replica's images are cut, whose gradients are averaged
            before one update. It saves memory; batch statistics and negatives are those of a part.
        compiled: whether XLA compiles the whole step; with several replicas, which are to be GPUs,
            views, forward and backward, since Keras's optimizers exchange in a way of their own.
        repeats: whether a batch may hold an image several times, as one drawn with replacement; its
            views then differ, and it is no negative of itself.

    """

    seed: int
    clip_norm: float | None = None
    accumulate: int = 1
    compiled: bool = False
    repeats: bool = False


def build_train_step(
    strategy: tf.distribute.Strategy, method: Method, state: TrainState, settings: StepSettings
) -> TrainStep:
    """Compiles a step over one global batch.

    Args:
        strategy: where the state lives.
        method: computes each replica's share of the loss.
        state: built in the strategy's scope.
        settings: how.

    Returns:
        A function of a (distributed) batch with ``image`` uint8 [B, H, W, C], ``label`` int32 [B]
        (-1 for none) and ``key_hash`` int64 [B]; it updates the state and returns the metrics of
        the global batch as scalars.

    """

    def replica_step(batch: Batch) -> dict[str, tf.Tensor]:
        step = tf.convert_to_tensor(state.steps)
        keys = keyed_random.image_keys(settings.seed, step, batch["key_hash"])
        if settings.repeats:
            keys = keyed_random.tell_repeats_apart(keys, batch["key_hash"])
        whole = MethodInput(
            images=batch["image"],
            labels=batch["label"],
            keys=keys,
            step=step,
            image_ids=batch["key_hash"] if settings.repeats else None,
        )
        outputs, gradients = differentiate(method, state, whole, settings.accumulate)
        norm = apply_gradients(
            state.optimizer, gradients, state.variables, clip_norm=settings.clip_norm
        )
        method.after_update(outputs, step)
        if state.average is not None:
            state.average.update(step + 1)
        metrics = _mean_metrics(outputs)
        if norm is not None:
            metrics["gradient_norm"] = norm / distribute.replica_count()
        features = tf.stop_gradient(tf.concat([output.features for output in outputs], axis=0))
        metrics["feature_std"] = _feature_std(features)
        if state.probe is not None:
            metrics |= _probe_step(
                state.probe, state.models["encoder"], whole, features, settings.accumulate
            )
        state.steps.assign_add(1)
        return metrics

    several = strategy.num_replicas_in_sync > 1
    differentiate = _accumulate_compiled if settings.compiled and several else _accumulate
    run = replica_step
    if settings.compiled and not several:
        run = tf.function(replica_step, jit_compile=True, autograph=False)

    @tf.function(autograph=False)
    def train_step(batch: Batch) -> dict[str, tf.Tensor]:
        shares = strategy.run(run, args=(batch,))
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.SUM, share, axis=None)
            for name, share in shares.items()
        }

    compiled: TrainStep = train_step
    return compiled


def _accumulate(
    method: Method, state: TrainState, whole: MethodInput, parts: int
) -> tuple[list[MethodOutput], list[tf.Tensor | None]]:
    """Returns each part's output, and this replica's share of the mean of their gradients."""
    values = [variable.value for variable in state.variables]
    scaled = isinstance(state.optimizer, keras.optimizers.LossScaleOptimizer)
    outputs: list[MethodOutput] = []
    total: list[tf.Tensor | None] = []
    for part in range(parts):
        batch = _part_of(whole, part, parts, after=total)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            output = method(batch)
            loss = output.loss / parts
            if scaled:
                loss = state.optimizer.scale_loss(loss)
        gradients = tape.gradient(loss, values)
        total = (
            [_add(one, other) for one, other in zip(total, gradients, strict=True)]
            if total
            else gradients
        )
        outputs.append(output)
    return outputs, total


def _accumulate_compiled(
    method: Method, state: TrainState, whole: MethodInput, parts: int
) -> tuple[list[MethodOutput], list[tf.Tensor | None]]:
    """Does what ``_accumulate`` does, compiled by XLA; between GPUs it compiles sums.

    It compiles none between CPUs ("Collectives are not yet implemented for CPU devices when
    compiling with XLA", TensorFlow 2.21).
    """

    # One for each replica, whose copies of the variables it reads.
    @tf.function(jit_compile=True, autograph=False)
    def differentiate(given: dict[str, tf.Tensor]) -> tuple[list[dict[str, Any]], list[Any]]:
        outputs, gradients = _accumulate(method, state, MethodInput(**given), parts)
        return [_fields(output) for output in outputs], gradients

    outputs, gradients = differentiate(_fields(whole))
    return [MethodOutput(**output) for output in outputs], gradients


def _fields(one: MethodInput | MethodOutput) -> dict[str, Any]:
    return {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}


def _part_of(
    whole: MethodInput, part: int, parts: int, after: list[tf.Tensor | None]
) -> MethodInput:
    """Takes every ``parts``-th image, once the gradients before are there.

    A stride keeps the share of labelled images, which come last, the same in every part. Without
    the wait all parts would run at once and save no memory.
    """
    if parts == 1:
        return whole
    with tf.control_dependencies([gradient for gradient in after if gradient is not None]):
        images = tf.identity(whole.images)
    return MethodInput(
        images=images[part::parts],
        labels=whole.labels[part::parts],
        keys=whole.keys[part::parts],
        step=whole.step,
        image_ids=None if whole.image_ids is None else whole.image_ids[part::parts],
    )


def _add(one: tf.Tensor | None, other: tf.Tensor | None) -> tf.Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _mean_metrics(outputs: list[MethodOutput]) -> dict[str, tf.Tensor]:
    """Returns this replica's share of each metric's mean over the parts."""
    named = [{"loss": output.loss, **output.metrics} for output in outputs]
    return {name: tf.add_n([one[name] for one in named]) / len(named) for name in named[0]}


def _feature_std(features: tf.Tensor) -> tf.Tensor:
    """Returns this replica's share of the deviation of unit features (Chen & He, 2021, 4.1)."""
    dtype = tf.float64 if features.dtype == tf.float64 else tf.float32
    normalised = tf.math.l2_normalize(tf.cast(features, dtype), axis=1)
    count = tf.cast(tf.shape(features)[0] * distribute.replica_count(), dtype)
    mean = distribute.sum_over_replicas(tf.reduce_sum(normalised, axis=0)) / count
    squares = tf.reduce_sum(tf.square(normalised - mean), axis=0)
    deviation = tf.sqrt(distribute.sum_over_replicas(squares) / count)
    return tf.reduce_mean(deviation) / distribute.replica_count()


def _probe_step(
    probe: OnlineProbe,
    encoder: keras.Model,
    whole: MethodInput,
    features: tf.Tensor,
    parts: int,
) -> dict[str, tf.Tensor]:
    """Updates the probe on the labelled images; returns its share of the loss and accuracy."""
    labels = tf.concat([whole.labels[part::parts] for part in range(parts)], axis=0)
    if probe.view is not None:
        rows = slice(-probe.labelled_rows if probe.labelled_rows else 0, None)
        labels = whole.labels[rows]
        keys = keyed_random.fold_in(whole.keys[rows], PROBE_VIEW)
        (view,) = sample_views((probe.view,), whole.images[rows], keys, compiled=probe.compile_view)
        features = tf.stop_gradient(encoder(view, training=False))
    dtype = tf.float64 if features.dtype == tf.float64 else tf.float32
    labelled = tf.cast(labels >= 0, dtype)
    count = tf.maximum(
        tf.constant(1.0, dtype), distribute.sum_over_replicas(tf.reduce_sum(labelled))
    )
    targets = tf.maximum(labels, 0)
    variables = probe.head.trainable_variables
    with tf.GradientTape() as tape:
        logits = tf.cast(probe.head(features, training=True), dtype)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
        loss = tf.reduce_sum(losses * labelled) / count
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    apply_gradients(probe.optimizer, gradients, variables)
    predictions = tf.argmax(logits, axis=1, output_type=tf.int32)
    hits = tf.reduce_sum(tf.cast(tf.equal(predictions, targets), dtype) * labelled)
    return {"online_probe/loss": loss, "online_probe/accuracy": hits / count}
