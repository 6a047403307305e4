"""Training callbacks: a user's own objects that are told of a training's course.

They are given plain data, a copy each, and nothing that is trained: what they do changes no weight.
What one raises does not end the training; it is reported, and that one is called no more.
"""

from __future__ import annotations

import copy
import dataclasses
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twofold.components.errors import SettingsError
from twofold.components.named_objects import import_named

Data = Mapping[str, Any]
EVENTS = ("on_begin", "on_interval", "on_epoch", "on_alarm", "on_end")


class TrainingCallback:
    """What a callback may have; one that lacks a method, or derives from nothing, will do.

    All are called between two steps, one after the other, so that training waits for them. The data
    are mappings of what JSON can hold.
    """

    def on_begin(self, training: Data) -> None:
        """A training begins, or goes on after an interruption.

        Args:
            training: ``run`` (its name), ``stage`` ("pretrain", "teacher", "fine-tuned" or "from
                scratch"), ``id`` (the same over all attempts of a training, and another for each),
                ``directory`` (of the run), ``configuration`` (of this training), ``step`` (0, or
                the one that it goes on from), ``steps``, ``epochs`` and ``replicas``.

        """

    def on_interval(self, interval: Data) -> None:
        """An interval of ``training.log_every`` steps, or an epoch, has ended.

        Args:
            interval: ``stage``, ``step``, ``steps``, ``epoch`` (from 1), ``epochs``, ``images``
                (seen so far), ``metrics`` (by name; among them "loss"), ``learning_rate``,
                ``images_per_second``, ``seconds_left`` and ``wall_time`` (seconds since 1970).

        """

    def on_epoch(self, interval: Data) -> None:
        """An epoch has ended, after ``on_interval``.

        Args:
            interval: as of ``on_interval``, with what was validated among its metrics.

        """

    def on_alarm(self, alarm: Data) -> None:
        """An alarm was raised.

        Args:
            alarm: ``stage``, ``name``, ``step``, ``action`` ("warn", "stop" or "rollback"),
                ``message``, ``value``, ``threshold`` and ``rolled_back_to`` (the step that training
                went on from, or None).

        """

    def on_end(self, end: Data) -> None:
        """The training has ended, unless its process was killed.

        Args:
            end: ``stage``, ``status`` ("done", "interrupted" or "failed"), ``step``, ``steps`` and
                ``error`` (one line, or None).

        """


@dataclasses.dataclass(frozen=True)
class CallbackFailure:
    """What a callback raised.

    Attributes:
        callback: its name.
        event: the method that raised.
        error: type and message, one line.
        traceback: all of it.

    """

    callback: str
    event: str
    error: str
    traceback: str


def build_callbacks(names: Sequence[str], key: str) -> list[tuple[str, Any]]:
    """Makes the callbacks that a setting names.

    Args:
        names: ``module:name`` each, of a class or function that takes no arguments.
        key: of the setting, for messages.

    Returns:
        The names and what they make.

    Raises:
        SettingsError: if one cannot be imported or made, or has no method of ``EVENTS``.

    """
    return [(name, _build(name, key)) for name in names]


def _build(name: str, key: str) -> Any:
    make = import_named(name, key)
    if not callable(make):
        raise SettingsError(
            f"{key}={name} is {type(make).__name__}: expected a class, or a function that makes one"
        )
    try:
        made = make()
    except Exception as error:
        raise SettingsError(
            f"{key}: {name}() failed: {type(error).__name__}: {error}: expected a class that takes "
            f"no arguments"
        ) from error
    if not any(callable(getattr(made, event, None)) for event in EVENTS):
        raise SettingsError(f"{key}={name}: expected one of the methods {', '.join(EVENTS)}")
    return made


class CallbackGroup:
    """The callbacks of one training.

    Args:
        callbacks: names and objects.
        failed: called with what one of them raised, which is called no more.

    """

    def __init__(
        self, callbacks: Sequence[tuple[str, Any]], failed: Callable[[CallbackFailure], None]
    ) -> None:
        self._callbacks, self._failed = list(callbacks), failed

    def tell(self, event: str, data: Data) -> None:
        """Calls a method of each callback that has it, in their order."""
        for named in list(self._callbacks):
            name, callback = named
            method = getattr(callback, event, None)
            if method is None:
                continue
            try:
                method(copy.deepcopy(dict(data)))
            except Exception as error:
                self._callbacks.remove(named)
                described = f"{type(error).__name__}: {' '.join(str(error).split())}"
                self._failed(
                    CallbackFailure(
                        name, event, described.removesuffix(": "), traceback.format_exc().rstrip()
                    )
                )
