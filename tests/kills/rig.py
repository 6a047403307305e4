"""Training rig: a method's training, built once and run from its first weights many times."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tests.components.methods.forms import (
    BATCH,
    CLASSES,
    FEATURES,
    build_form,
    random_split,
    values_of,
)
from tests.strategies import strategy_of
from twofold.components.data.reading.reader import batches
from twofold.components.encoders.heads import build_linear_head
from twofold.components.training.averaging import ExponentialMovingAverage
from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.loop import Callbacks, LoopSettings, run_loop
from twofold.components.training.monitors import EarlyStopping, ReduceOnPlateau
from twofold.components.training.optimizers.named_optimizers import build_optimizer
from twofold.components.training.optimizers.schedules import build_schedule
from twofold.components.training.resuming.background_writer import BackgroundWriter
from twofold.components.training.resuming.interruption import StopRequest
from twofold.components.training.resuming.weights_files import (
    is_final,
    read_final,
    write_final,
    write_weights,
)
from twofold.components.training.step import OnlineProbe, StepSettings, TrainState, build_train_step
from twofold.components.training.validation import EpochRules, MonitoredMetric, build_validation

STEPS, STEPS_PER_EPOCH = 12, 4
SETTINGS = LoopSettings(
    steps=STEPS, steps_per_epoch=STEPS_PER_EPOCH, log_every=3, checkpoint_every=2
)
_SEED = 5


@dataclasses.dataclass(frozen=True)
class Finished:
    """What a finished training left: all it holds, and its curves by step."""

    values: Mapping[str, np.ndarray]
    curves: Mapping[int, Mapping[str, float]]

    def equals(self, other: Finished) -> bool:
        """Tells whether all values and curves are the same bit for bit."""
        return (
            self.values.keys() == other.values.keys()
            and all(np.array_equal(self.values[name], other.values[name]) for name in self.values)
            and self.curves == other.curves
        )


class Rig:
    """Trains a form of a method, as the product does, with a probe, an average and epoch rules.

    Args:
        form: of ``tests.components.methods.forms``.
        first: where its first weights are kept, an empty directory.
        replicas: logical devices that share each batch.

    """

    def __init__(self, form: str, first: Path, replicas: int = 1) -> None:
        self._strategy = strategy_of(replicas)
        self._replicas = replicas
        with self._strategy.scope():
            method = build_form(form)
            schedule = build_schedule(0.01, warmup_steps=2, end_step=STEPS)
            models = TrainState(method.models, keras.optimizers.SGD())
            probe = None
            if "head" not in method.models:
                head = build_linear_head(FEATURES, CLASSES, seed=_SEED)
                probe = OnlineProbe(head, keras.optimizers.Adam())
            self._state = TrainState(
                method.models,
                build_optimizer("adam", learning_rate=schedule),
                probe,
                method.memory,
                ExponentialMovingAverage(models.variables, 0.8),
                {
                    "rate_scale": schedule.scale,
                    # Lowers the rate after every second epoch.
                    "plateau": ReduceOnPlateau(schedule.scale, 0.5, patience=1, min_delta=10.0),
                    "early_stopping": EarlyStopping(STEPS, "max"),
                },
            )
            self._state.build()
        self._step = build_train_step(self._strategy, method, self._state, StepSettings(seed=_SEED))
        images = random_split(seed=1)
        read_by = probe.head if probe is not None else method.models["head"]
        self._validate = build_validation(
            self._state.models["encoder"], read_by, images.images, images.labels, "test"
        )
        self._first = Checkpoints(first, self._state)
        self._first.save()
        self._first.wait()
        self._curves: dict[int, Mapping[str, float]] = {}

    @property
    def curves(self) -> dict[int, Mapping[str, float]]:
        """The means that trainings have told since they were last set, by step."""
        return dict(self._curves)

    @curves.setter
    def curves(self, curves: Mapping[int, Mapping[str, float]]) -> None:
        self._curves = dict(curves)

    def train(
        self,
        directory: Path,
        *,
        at_step: Callable[[int], None] = lambda step: None,
        stop: StopRequest | None = None,
    ) -> Finished:
        """Trains from the newest checkpoint in a directory, or from the first weights.

        A new process holds the first weights until it restores others, and so does this, but for
        what no checkpoint holds: that stays as the training before left it, and shows.
        """
        self._first.restore()
        state = self._state
        writer = BackgroundWriter()
        checkpoints = Checkpoints(
            directory / "checkpoints",
            state,
            fingerprint="one",
            beside=directory / "best",
            writer=writer,
        )
        if is_final(directory / "checkpoints"):
            checkpoints.restore()
            read_final(directory / "checkpoints", state.models)
        else:
            run_loop(
                state,
                self._step,
                self._batches,
                checkpoints,
                SETTINGS,
                Callbacks(metrics=self._log, progress=at_step),
                EpochRules(
                    self._validate,
                    MonitoredMetric("test/loss", state.extra["plateau"]),
                    MonitoredMetric("test/accuracy", state.extra["early_stopping"]),
                    keep_best=lambda: write_weights(directory / "best", state.models, writer),
                ),
                stop,
            )
            write_final(directory / "checkpoints", state.models)
        best = tf.train.load_checkpoint(str(directory / "best" / "weights"))
        held = {f"best/{name}": best.get_tensor(name) for name in best.get_variable_to_shape_map()}
        held |= {name: value.copy() for name, value in values_of(state).items()}
        return Finished(held, self.curves)

    def _log(self, step: int, means: Mapping[str, float]) -> None:
        self._curves[step] = dict(means)

    def _batches(self, first_step: int) -> Iterable[dict[str, tf.Tensor]]:
        def feed(context: tf.distribute.InputContext) -> tf.data.Dataset:
            parts = batches(
                random_split(),
                batch_size=BATCH,
                seed=_SEED,
                first_step=first_step,
                steps=STEPS - first_step,
                replicas=self._replicas,
            )
            return parts.map(lambda part: {k: part[k] for k in ("image", "label", "key_hash")})

        fed: Iterable[dict[str, tf.Tensor]] = self._strategy.distribute_datasets_from_function(feed)
        return fed


def told(number: signal.Signals) -> StopRequest:
    """Gives a request to stop, as a process has that got a signal in a training."""
    stop = StopRequest()
    stop._signal = number
    return stop
