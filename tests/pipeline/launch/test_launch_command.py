"""`twofold launch` hands what is not its own to `twofold run`, once for each worker."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.conftest import Outcome
from twofold.pipeline.cli.commands import launch_command
from twofold.pipeline.launch.local_workers import Launch


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """What was to be launched; it ends with status 75."""
    found: list[Launch] = []

    def launch(what: Launch) -> int:
        found.append(what)
        return 75

    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(launch_command, "launch", launch)
    return found


def test_options_of_run_and_of_beam_reach_every_worker(
    twofold: Callable[..., Outcome], asked: list[Launch]
) -> None:
    outcome = twofold(
        *("launch", "--workers", "3", "quickstart", "--set", "training.epochs=3", "--update"),
        *("--workdir", "runs", "--max-minutes", "5", "--", "--runner=FnApiRunner"),
    )
    assert outcome.status == 75
    (what,) = asked
    run = [sys.executable, "-P", "-m", "twofold", "run", "quickstart"]
    own = ["--set", "training.epochs=3", "--update", "--workdir", "runs"]
    beam = ["--", "--runner=FnApiRunner"]
    assert what.command(None) == [*run, *own, *beam]
    assert what.command(2.5) == [*run, *own, "--max-minutes", "2.500", *beam]
    assert (what.workers, what.max_restarts, what.max_minutes) == (3, 3, 5.0)
    assert what.log(1) == Path("runs/.workers/quickstart-worker-1.log")


def test_what_the_chief_said_of_an_interruption_is_said_once(
    twofold: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(launch_command, "launch", lambda what: 130)
    outcome = twofold("launch", "--workers", "2", "quickstart")
    assert (outcome.status, outcome.error) == (130, "")


def test_logs_are_named_as_the_run(twofold: Callable[..., Outcome], asked: list[Launch]) -> None:
    twofold("launch", "--set", "seed=1", "my.yaml", "--workers=2", "--name=mine")
    twofold("launch", "--set", "seed=1", "my.yaml", "--workers=2")
    assert [what.log(1).name for what in asked] == ["mine-worker-1.log", "my-worker-1.log"]


def test_workers_of_a_cluster_are_not_launched_again(
    twofold: Callable[..., Outcome], asked: list[Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", "{}")
    outcome = twofold("launch", "--workers", "2", "quickstart")
    assert outcome.status == 2
    assert "TF_CONFIG names workers already: expected `twofold run`" in " ".join(
        outcome.error.split()
    )
    assert not asked
