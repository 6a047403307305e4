"""A user's own callbacks: what they are told, and what becomes of what they raise."""

from collections.abc import Callable
from typing import Any

import pytest

from twofold.components.errors import SettingsError
from twofold.components.training.reporting.training_callbacks import (
    EVENTS,
    CallbackFailure,
    CallbackGroup,
    TrainingCallback,
    build_callbacks,
)


class Recorder(TrainingCallback):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_interval(self, interval: Any) -> None:
        self.heard.append(interval)
        interval["metrics"]["loss"] = "changed"


class Failing:
    def on_interval(self, interval: Any) -> None:
        raise ValueError("no\nserver")


class Nothing:
    pass


class NeedsMore:
    def __init__(self, one: int) -> None: ...

    def on_end(self, end: Any) -> None: ...


NUMBER = 3


def unexpected(failure: CallbackFailure) -> None:
    raise AssertionError(failure)


def make_recorder() -> Recorder:
    return Recorder()


def test_each_is_given_a_copy_of_its_own() -> None:
    one, other = Recorder(), Recorder()
    data = {"step": 1, "metrics": {"loss": 2.0}}
    CallbackGroup([("one", one), ("other", other)], unexpected).tell("on_interval", data)
    assert data == {"step": 1, "metrics": {"loss": 2.0}}
    assert other.heard[0] is not one.heard[0]


def test_what_one_raises_is_told_and_that_one_is_called_no_more() -> None:
    failures: list[CallbackFailure] = []
    good = Recorder()
    group = CallbackGroup([("failing", Failing()), ("good", good)], failures.append)
    for step in (1, 2):
        group.tell("on_interval", {"step": step, "metrics": {}})
    assert [heard["step"] for heard in good.heard] == [1, 2]
    (failure,) = failures
    assert (failure.callback, failure.event) == ("failing", "on_interval")
    assert failure.error == "ValueError: no server", "one line"
    assert failure.traceback.startswith("Traceback")


def test_only_the_end_of_the_process_goes_through() -> None:
    class Ending:
        def on_end(self, end: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CallbackGroup([("ending", Ending())], unexpected).tell("on_end", {})


def test_a_method_that_is_not_there_is_passed_over() -> None:
    group = CallbackGroup([("failing", Failing()), ("all", TrainingCallback())], unexpected)
    for event in EVENTS[2:]:
        group.tell(event, {})


@pytest.mark.parametrize("made", [Recorder, make_recorder])
def test_a_class_or_a_function_is_named(made: Callable[[], Recorder]) -> None:
    name = f"{__name__}:{made.__name__}"
    ((named, callback),) = build_callbacks([name], "training.callbacks")
    assert named == name
    assert isinstance(callback, TrainingCallback)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("NUMBER", "is int: expected a class"),
        ("NeedsMore", r"NeedsMore\(\) failed: TypeError: .*takes no arguments"),
        ("Nothing", "expected one of the methods on_begin, on_interval, on_epoch"),
        ("Elsewhere", "has no Elsewhere"),
    ],
)
def test_what_cannot_be_called_is_refused(name: str, error: str) -> None:
    with pytest.raises(SettingsError, match=f"training.callbacks.*{error}"):
        build_callbacks([f"{__name__}:{name}"], "training.callbacks")
