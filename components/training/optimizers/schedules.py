"""Learning-rate schedules: warm-up, cosine decay, and scaling by the batch size."""

from __future__ import annotations

import math
from typing import Literal

import keras
import tensorflow as tf

from twofold.components.errors import SettingsError

Rate = float | keras.optimizers.schedules.LearningRateSchedule
Rule = Literal["none", "linear", "sqrt"]

_RULES = {
    "none": lambda share: 1.0,
    "linear": lambda share: share,
    "sqrt": math.sqrt,
}


def scaled_rate(
    base_rate: float, batch_size: int, *, reference: int = 256, rule: Rule = "none"
) -> float:
    """Scales a learning rate to the batch.

    Args:
        base_rate: of a batch of ``reference`` images.
        batch_size: images a step over all replicas.
        reference: the batch that ``base_rate`` is meant for.
        rule: "linear" multiplies by batch_size / reference (Goyal et al., 2017), "sqrt" by its
            square root (You et al., 2020; SimCLR's choice for small batches), "none" by 1.

    Raises:
        SettingsError: if the rule is unknown.

    """
    if rule not in _RULES:
        raise SettingsError(f"unknown rate scaling {rule!r}: expected one of {', '.join(_RULES)}")
    scaled: float = base_rate * _RULES[rule](batch_size / reference)
    return scaled


class ScaledSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule times a number that changes during training.

    Make it in the strategy's scope.

    Args:
        schedule: from the step to a rate; None for ``peak`` throughout.
        peak: the largest rate of the schedule.
        scale: of another schedule, to be lowered together; None for one of its own.

    Attributes:
        scale: scalar variable, 1 at first, which a plateau lowers. It belongs in the checkpoint.

    """

    def __init__(
        self,
        schedule: keras.optimizers.schedules.LearningRateSchedule | None,
        peak: float,
        scale: tf.Variable | None = None,
    ) -> None:
        super().__init__()
        self._schedule = schedule
        self._peak = peak
        self.scale = (
            scale
            if scale is not None
            else tf.Variable(
                1.0,
                trainable=False,
                dtype=keras.config.floatx(),
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                name="learning_rate_scale",
            )
        )

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the rate of the update after ``step`` updates, a scalar of ``scale``'s dtype."""
        rate = self._peak if self._schedule is None else self._schedule(step)
        return rate * tf.convert_to_tensor(self.scale)


class _Staircase(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that is held for so many steps at a time, once the warm-up is over."""

    def __init__(
        self,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        held_steps: int,
        warmup_steps: int,
    ) -> None:
        super().__init__()
        self._schedule, self._held, self._warmup = schedule, held_steps, warmup_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.int64)
        held = tf.maximum(step // self._held * self._held, self._warmup)
        return self._schedule(tf.minimum(step, held))


class _Wave(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that is run through backwards once it has ended, then forwards again."""

    def __init__(
        self,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        end_step: int,
        warmup_steps: int,
    ) -> None:
        super().__init__()
        self._schedule, self._warmup = schedule, warmup_steps
        self._length = end_step - warmup_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.int64)
        since = (step - self._warmup) % (2 * self._length)
        folded = self._warmup + self._length - tf.abs(since - self._length)
        return self._schedule(tf.where(step < self._warmup, step, folded))


def build_schedule(
    peak: float,
    *,
    warmup_steps: int = 0,
    end_step: int | None = None,
    final: float = 0.0,
    held_steps: int = 1,
    wave: bool = False,
    scale: tf.Variable | None = None,
) -> ScaledSchedule:
    """Builds a linear warm-up followed by half a cosine (Loshchilov & Hutter, 2017, equation 5).

    With w steps of warm-up and the end at T, the rate is ``peak * step / w`` until w, and from
    there ``final + (peak - final) * (1 + cos(pi * (step - w) / (T - w))) / 2``.

    Args:
        peak: the largest rate, above 0.
        warmup_steps: steps from 0 to the peak; 0 for none.
        end_step: the step that ends the cosine, counted from the start of training and not from the
            end of the warm-up, above ``warmup_steps``. It may lie past the end of training. None
            keeps the peak.
        final: the rate at ``end_step`` and after it, in [0, peak].
        held_steps: steps that the cosine's rate is held for, at least 1; with those of an epoch it
            changes at the start of each.
        wave: whether the rate rises again after ``end_step`` as it fell, and so on, as that of
            PyTorch's ``CosineAnnealingLR`` does.
        scale: of another schedule, to be lowered together; None for one of its own.

    Raises:
        SettingsError: if a number is out of its range.

    """
    unscaled = build_unscaled(
        peak,
        warmup_steps=warmup_steps,
        end_step=end_step,
        final=final,
        held_steps=held_steps,
        wave=wave,
    )
    return ScaledSchedule(unscaled, peak, scale)


def build_unscaled(
    peak: float,
    *,
    warmup_steps: int = 0,
    end_step: int | None = None,
    final: float = 0.0,
    held_steps: int = 1,
    wave: bool = False,
) -> keras.optimizers.schedules.LearningRateSchedule | None:
    """Builds what ``build_schedule`` scales; None for the peak throughout.

    Raises:
        SettingsError: if a number is out of its range.

    """
    if not peak > 0:
        raise SettingsError(f"peak must be above 0, received {peak}")
    if warmup_steps < 0:
        raise SettingsError(f"warmup_steps must be at least 0, received {warmup_steps}")
    if held_steps < 1:
        raise SettingsError(f"held_steps must be at least 1, received {held_steps}")
    if end_step is not None and end_step <= warmup_steps:
        raise SettingsError(
            f"end_step must be above warmup_steps={warmup_steps} or None, received {end_step}"
        )
    if not 0 <= final <= peak:
        raise SettingsError(f"final must be from 0 to peak={peak}, received {final}")
    if end_step is None:
        if final:
            raise SettingsError(f"final={final} needs end_step: a constant rate has no end")
        return _warmup(peak, warmup_steps)
    cosine: keras.optimizers.schedules.LearningRateSchedule
    cosine = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup_steps else peak,
        # Keras counts these from the end of the warm-up.
        end_step - warmup_steps,
        alpha=final / peak,
        warmup_target=peak if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    if wave:
        cosine = _Wave(cosine, end_step, warmup_steps)
    if held_steps > 1:
        cosine = _Staircase(cosine, held_steps, warmup_steps)
    return cosine


def _warmup(
    peak: float, warmup_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule | None:
    if warmup_steps == 0:
        return None
    return keras.optimizers.schedules.PolynomialDecay(
        initial_learning_rate=0.0, decay_steps=warmup_steps, end_learning_rate=peak
    )
