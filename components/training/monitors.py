"""Early stopping and rate reduction on a plateau, with state that a checkpoint holds."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import tensorflow as tf

from twofold.components.errors import SettingsError

Mode = Literal["min", "max"]


@dataclasses.dataclass(frozen=True)
class Decision:
    """What a rule makes of a value.

    Attributes:
        improved: whether it is the best so far.
        reduced: whether the learning rate was lowered.
        should_stop: whether training should end.

    """

    improved: bool
    reduced: bool = False
    should_stop: bool = False


class _Record(tf.Module):
    """The best value so far and how many came since, in variables."""

    def __init__(self, mode: Mode, min_delta: float) -> None:
        super().__init__()
        if mode not in ("min", "max"):
            raise SettingsError(f"unknown mode {mode!r}: expected one of min, max")
        if min_delta < 0:
            raise SettingsError(f"min_delta must be at least 0, received {min_delta}")
        self._sign = 1.0 if mode == "min" else -1.0
        self._min_delta = min_delta
        self.best = tf.Variable(self._sign * math.inf, trainable=False, dtype=tf.float64)
        self.wait = tf.Variable(0, trainable=False, dtype=tf.int64)

    def take(self, value: float) -> bool:
        """Tells whether a value improves on the best by more than ``min_delta``, and notes it."""
        # A comparison with what is no number is false, so it never improves.
        if self._sign * value + self._min_delta < self._sign * float(self.best.numpy()):
            self.best.assign(value)
            self.wait.assign(0)
            return True
        self.wait.assign_add(1)
        return False


def _check_patience(patience: int) -> None:
    if patience < 1:
        raise SettingsError(f"patience must be at least 1, received {patience}")


class ReduceOnPlateau(tf.Module):
    """Lowers the learning rate when a value stands still, as Keras's ReduceLROnPlateau.

    Make it in the strategy's scope, and checkpoint it.

    Args:
        schedule_scale: what is multiplied by ``factor``: ``ScaledSchedule.scale``.
        factor: in (0, 1).
        patience: observations without improvement that lower the rate; they count anew after it.
        mode: "min" if lower values are better, else "max".
        min_delta: an improvement is by more than this, at least 0.

    Raises:
        SettingsError: if an argument is out of its range.

    """

    def __init__(
        self,
        schedule_scale: tf.Variable,
        factor: float,
        patience: int,
        mode: Mode = "min",
        min_delta: float = 1e-4,
    ) -> None:
        super().__init__()
        if not 0 < factor < 1:
            raise SettingsError(f"factor must be above 0 and below 1, received {factor}")
        _check_patience(patience)
        self._scale = schedule_scale
        self._factor = factor
        self._patience = patience
        self._record = _Record(mode, min_delta)

    def observe(self, value: float) -> Decision:
        """Takes the next value; what is no number counts as no improvement."""
        if self._record.take(value):
            return Decision(improved=True)
        if int(self._record.wait.numpy()) < self._patience:
            return Decision(improved=False)
        self._scale.assign(self._scale * self._factor)
        self._record.wait.assign(0)
        return Decision(improved=False, reduced=True)


class EarlyStopping(tf.Module):
    """Ends the training when a value stands still, as Keras's callback of the same name.

    Make it in the strategy's scope, and checkpoint it.

    Args:
        patience: observations without improvement that end the training.
        mode: "min" if lower values are better, else "max".
        min_delta: an improvement is by more than this, at least 0.

    Raises:
        SettingsError: if an argument is out of its range.

    """

    def __init__(self, patience: int, mode: Mode = "min", min_delta: float = 0.0) -> None:
        super().__init__()
        _check_patience(patience)
        self._patience = patience
        self._record = _Record(mode, min_delta)

    @property
    def stopped(self) -> bool:
        """Whether the training should have ended: not so with more patience than it had."""
        return int(self._record.wait.numpy()) >= self._patience

    def observe(self, value: float) -> Decision:
        """Takes the next value; what is no number counts as no improvement."""
        improved = self._record.take(value)
        return Decision(improved=improved, should_stop=self.stopped)
