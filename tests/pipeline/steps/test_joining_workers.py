"""Workers of another configuration, other images or other code are refused by name."""

from typing import Any

import pytest

from tests.components.training.workers.as_threads import work
from twofold.components.errors import UsageError
from twofold.pipeline.steps.joining_workers import compare

CODE = {"twofold.components.losses.contrastive": "aa"}
FACTS: dict[str, dict[str, Any]] = {
    "settings": {"seed": 0, "training": {"epochs": 3, "optimizer": "sgd"}},
    "images": {"dataset": "0123"},
    "code": CODE,
    "machine": {"devices": 1, "tensorflow": "2.21.0"},
}


def _compare(*facts):
    return work(*[lambda group, own=own: compare(group, own) for own in facts])


def test_workers_that_are_alike_go_on():
    assert _compare(FACTS, FACTS, FACTS) == [None] * 3


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"settings": {"seed": 0, "training": {"epochs": 2, "optimizer": "sgd"}}},
            "another configuration than the chief: training.epochs is 2 there and 3 at the chief: ",
        ),
        ({"images": {"dataset": "4567"}}, "than the chief: dataset is 4567 there"),
        (
            {"code": {"mine": "bb"}},
            "other code than the chief: mine; twofold.components.losses.contrastive: ",
        ),
        ({"machine": {"devices": 2, "tensorflow": "2.21.0"}}, "devices is 2 there and 1 at"),
    ],
)
def test_every_worker_says_what_differs_and_where(other, message):
    errors = _compare(FACTS, FACTS, FACTS | other)
    for error in errors:
        assert isinstance(error, UsageError)
        assert "worker 2 (localhost:" in str(error)
        assert message in str(error)
        assert "\n" not in str(error)


def test_of_many_differences_a_few_are_named():
    code = {f"module_{number}": "bb" for number in range(9)}
    errors = _compare(FACTS, FACTS | {"code": CODE | code})
    assert "module_2" in str(errors[0])
    assert "module_3" not in str(errors[0])
    assert "and 6 more" in str(errors[0])
