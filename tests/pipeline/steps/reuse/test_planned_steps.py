"""The plan of a run says what the run then does, and changes nothing."""

import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.steps.reuse.conftest import PROBE, Edit, Runs
from twofold.components.errors import (
    ConfigError,
    DirectoryInUseError,
    OtherCodeError,
    OtherConfigurationError,
)
from twofold.pipeline.cli.commands import try_out
from twofold.pipeline.rehearsal import plan_run
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import LOCK
from twofold.pipeline.steps.reuse.planned_steps import ENDED, Plan, plan_steps

STRETCHED = ("training.epochs=61", "training.continue_schedule=stretched")
LAST = 7 * 60


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def plan(runs: Runs, *given: str, until: str = "export", **options: Any) -> tuple[Plan, list[str]]:
    """Plans, holds that nothing was changed, and returns what was said with the plan."""
    before = contents(runs.path.parent)
    context = runs.context(*given, **options)
    planned = plan_steps(context, until)
    assert contents(runs.path.parent) == before
    return planned, runs.said


def leave_checkpoint(runs: Runs, step: int = LAST) -> None:
    (runs.path / "checkpoints" / f"ckpt-{step}.index").touch()


def test_of_a_finished_run_nothing_is_left(runs: Runs) -> None:
    planned, said = plan(runs)
    assert planned == Plan(())
    runs()
    assert said == [*runs.said, "left to do: nothing"]


def test_of_a_new_run_all_is_left_and_nothing_is_told(runs: Runs) -> None:
    planned, said = plan(runs, name="other", until="evaluate")
    assert planned.steps == ("prepare", "pretrain", "evaluate")
    assert said == []


def test_a_training_that_would_go_on_is_planned_as_it_then_goes_on(runs: Runs) -> None:
    leave_checkpoint(runs)
    planned, said = plan(runs, "ask", *STRETCHED)
    assert planned.steps == ("pretrain", "evaluate", "export")
    assert planned.trained == {"teacher": ENDED, "pretrain": LAST}
    assert runs("ask", *STRETCHED) == list(planned.steps)
    # But for the folder, whose name is the time.
    named = [f"{head}superseded: {tail}" for head, tail in [_parted(line) for line in said[:-1]]]
    assert named == [f"{head}superseded: {tail}" for head, tail in map(_parted, runs.said[:3])]
    assert said[-1] == "left to do: pretrain, evaluate, export"
    assert any("trains on what was finished; what is there is moved to" in line for line in said)


def _parted(line: str) -> tuple[str, str]:
    head, _, tail = line.partition("superseded")
    return head, tail.partition(": ")[2]


@pytest.mark.parametrize(
    ("settings", "refusal", "words"),
    [
        (STRETCHED[:1], ConfigError, "training.continue_schedule"),
        (("training.epochs=59",), OtherConfigurationError, "trained longer than"),
    ],
)
def test_what_the_run_would_refuse_the_plan_refuses(
    settings: tuple[str, ...], refusal: type[Exception], words: str, runs: Runs
) -> None:
    leave_checkpoint(runs)
    for answer in (lambda: plan(runs, "ask", *settings), lambda: runs("ask", *settings)):
        with pytest.raises(refusal, match=words):
            answer()


def test_other_code_is_asked_about_or_reused_in_the_plan_as_in_the_run(
    runs: Runs, edit: Edit
) -> None:
    edit(PROBE, "ADDED = 1")
    with pytest.raises(OtherCodeError, match="holds results of other code: evaluate"):
        plan(runs)
    planned, said = plan(runs, "update")
    assert planned.steps == ("evaluate", "export")
    assert any(line.startswith("evaluate: replaces evaluate") for line in said)
    planned, said = plan(runs, "reuse")
    assert planned == Plan(())
    assert any(line.startswith("evaluate: finished before by other code") for line in said)


def test_an_interrupted_training_is_told_from_where_it_goes_on(runs: Runs) -> None:
    leave_checkpoint(runs, 21)
    runs.change(pretrain={"status": "interrupted"}, evaluate={"status": "failed"})
    planned, said = plan(runs, until="pretrain")
    assert planned == Plan(("pretrain",), {"teacher": ENDED, "pretrain": 21})
    assert "pretrain: goes on from step 21" in said


def test_a_teachers_steps_are_not_taken_again(runs: Runs) -> None:
    runs.change(pretrain={"status": "interrupted"})
    (runs.path / "teacher").mkdir()
    (runs.path / "teacher" / "ckpt-5.index").touch()
    assert plan(runs)[0].trained == {"teacher": 5}
    (runs.path / "teacher" / "final").mkdir()
    assert plan(runs)[0].trained == {"teacher": ENDED}
    # Of other code, all is done again.
    assert plan(runs, "update", "training.learning_rate=0.5")[0].trained == {}


def test_images_that_are_gone_are_prepared_again_and_the_rest_is_kept(runs: Runs) -> None:
    next(runs.datasets.iterdir()).rename(runs.datasets.parent / "gone")
    planned, said = plan(runs)
    assert planned.steps == ("prepare",)
    assert "is missing" in said[0]
    assert runs() == ["prepare"]


def test_other_images_are_told_to_replace_what_was_trained(runs: Runs) -> None:
    planned, said = plan(runs, "update", "data.images=61")
    assert planned.steps == ("prepare", "pretrain", "evaluate", "export")
    assert any("is moved aside where they are others" in line for line in said)


def test_a_directory_that_another_process_works_in_is_refused_where_something_is_left(
    runs: Runs,
) -> None:
    leave_checkpoint(runs)
    with (runs.path / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert plan(runs)[0] == Plan(())
        with pytest.raises(DirectoryInUseError, match="another process works in"):
            plan(runs, "ask", *STRETCHED)


def test_a_trial_takes_the_steps_that_are_left_and_no_other(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[str, Any]] = []

    def apart(kept: str) -> Callable[..., float]:
        def record(*given: Any, **options: Any) -> Any:
            tried.append((kept, options[kept]))
            return 1.0

        return record

    def try_it(context: Context) -> None:
        try_out.try_out(context, "evaluate", check=True, estimate=True)

    monkeypatch.setattr(try_out, "run_apart", apart("plan"))
    monkeypatch.setattr(try_out, "check_run", apart("until"))
    monkeypatch.setattr(try_out, "estimate_table", str)
    monkeypatch.setattr(plan_run, "check_before_training", lambda context: None)
    try_it(runs.context())
    assert tried == []
    leave_checkpoint(runs)
    try_it(runs.context("ask", *STRETCHED))
    left = Plan(("pretrain", "evaluate"), {"teacher": ENDED, "pretrain": LAST})
    assert tried == [("plan", left), ("until", "evaluate")]
