"""Learning-rate schedule of a training that was continued: pieces, each from its step on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import keras
import tensorflow as tf

from twofold.components.training.continuing.phases import Piece

Schedule: TypeAlias = keras.optimizers.schedules.LearningRateSchedule


class _Joined(Schedule):
    """Schedules that follow one another."""

    def __init__(self, first: Schedule, later: Sequence[tuple[int, Schedule]]) -> None:
        super().__init__()
        self._first, self._later = first, later

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the rate of the piece that the step is in."""
        rate = self._first(step)
        for start, schedule in self._later:
            rate = tf.where(tf.cast(step, tf.int64) >= start, schedule(step), rate)
        return rate


class _Shifted(Schedule):
    """A schedule that begins anew at a step."""

    def __init__(self, schedule: Schedule, start: int) -> None:
        super().__init__()
        self._schedule, self._start = schedule, start

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the rate of the steps since the start."""
        return self._schedule(tf.maximum(tf.cast(step, tf.int64) - self._start, 0))


class _Constant(Schedule):
    """One rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the rate."""
        return tf.constant(self._rate, keras.config.floatx())


def join_pieces(
    pieces: Sequence[Piece],
    begin: Callable[[int], Schedule],
    restart: Callable[[int, float | None], Schedule],
    scaled: Callable[[float], float],
) -> Schedule:
    """Builds the schedule of a continued training.

    A restart is a cosine from the largest rate anew (Loshchilov & Hutter, 2017, equation 5).

    Args:
        pieces: see ``plan_pieces``; the first one has an end.
        begin: from the step that ends a cosine to the schedule that begins at step 0.
        restart: from how many steps a cosine lasts and the rate that it begins at, before it is
            scaled, to a cosine without warm-up.
        scaled: scales a rate to the batch.

    """
    joined = begin(pieces[0].end or 0)
    for piece in pieces[1:]:
        if piece.end is None:
            given = piece.learning_rate
            rate = float(joined(tf.constant(piece.start))) if given is None else scaled(given)
            after: Schedule = _Constant(rate)
        elif piece.kind == "restarted":
            after = _Shifted(restart(piece.end - piece.start, piece.learning_rate), piece.start)
        else:
            after = begin(piece.end)
        joined = _Joined(joined, [(piece.start, after)])
    return joined
