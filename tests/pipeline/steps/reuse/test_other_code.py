"""What other code made is named, and kept or done again as the user says."""

import dataclasses
import json
import shutil

import pytest

from tests.pipeline.steps.reuse.conftest import CONFIG, LOOP, MADE, PROBE, SHARDS, Edit, Runs
from twofold.components.errors import OtherCodeError
from twofold.components.training.resuming.interruption import Interruption, StopRequest
from twofold.pipeline.config import override
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.steps.runner import run_one_step, run_steps


@pytest.mark.parametrize(
    ("module", "steps"),
    [
        (PROBE, ["evaluate", "export"]),
        (LOOP, ["pretrain", "evaluate"]),
        # The last value of a curve is a metric.
        ("twofold.components.training.training_curves", ["pretrain"]),
        (SHARDS, ["prepare"]),
    ],
)
def test_other_code_is_named_and_nothing_is_touched(
    module: str, steps: list[str], runs: Runs, edit: Edit
) -> None:
    before = (runs.path / "run.json").read_bytes()
    edit(module, "TOLERANCE = 1e-9")
    with pytest.raises(OtherCodeError) as refusal:
        runs()
    message = str(refusal.value)
    assert str(runs.path) in message
    for step in steps:
        assert f"{step} (changed: {module})" in message
    assert "--reuse" in message
    assert "--update" in message
    assert (runs.path / "run.json").read_bytes() == before


def test_reuse_keeps_the_result_and_records_it(runs: Runs, edit: Edit) -> None:
    edit(PROBE, "TOLERANCE = 1e-9")
    assert runs("reuse") == []
    assert runs.entry("evaluate")["reused"]["changed"] == [PROBE]
    assert f"evaluate: finished before by other code (changed: {PROBE}), reused" in runs.said
    # The same code need not be accepted twice, and other code has to be.
    assert runs() == []
    edit(PROBE, "TOLERANCE = 1e-8")
    with pytest.raises(OtherCodeError):
        runs()


def test_update_does_it_again_and_keeps_what_was_there(runs: Runs, edit: Edit) -> None:
    runs.change(evaluate={"seconds": 7000})
    edit(PROBE, "TOLERANCE = 1e-9")
    assert runs("update") == ["evaluate", "export"]
    told = next(line for line in runs.said if "replaces" in line)
    assert told.startswith("evaluate: replaces evaluate (1.9 h), export (0 s); ")
    assert str(runs.path / "superseded") in told
    assert runs.said.index(told) < next(
        n for n, line in enumerate(runs.said) if line.startswith("evaluate: done")
    )
    assert runs.superseded == sorted(
        ["config.yaml", "metrics.json", "run.json", "figures/rsm.png", *MADE["export"]]
    )
    assert runs() == []


def test_an_update_of_training_keeps_the_weights_that_were_there(runs: Runs, edit: Edit) -> None:
    before = (runs.path / "checkpoints" / "model.json").read_text()
    edit(LOOP, "STEPS = 3")
    assert runs("update") == ["pretrain", "evaluate", "export"]
    kept = next(runs.path.glob("superseded/*/checkpoints/model.json"))
    assert kept.read_text() == before
    every = {name for names in MADE.values() for name in names}
    assert every <= set(runs.superseded)
    assert json.loads((kept.parents[1] / "run.json").read_text())["steps"]["pretrain"]


def test_what_an_update_replaces_is_listed_with_all_that_follows(runs: Runs, edit: Edit) -> None:
    runs.change(pretrain={"seconds": 7000}, evaluate={"seconds": 600})
    edit(LOOP, "STEPS = 3")
    with pytest.raises(OtherCodeError, match=r"took: pretrain 1\.9 h, evaluate 10 min, export 0 s"):
        runs()


def test_other_settings_replace_what_they_change_and_reuse_keeps_the_rest(
    runs: Runs, edit: Edit
) -> None:
    edit(LOOP, "STEPS = 3")
    context = runs.context("reuse")
    context.run.close()
    config = override(CONFIG, ["evaluation.neighbours=3"])
    run = RunDirectory(runs.path, config, {}, update=True)
    said: list[str] = []
    changed = Context(config, run, str(runs.datasets), (), no_progress, said.append, "reuse")
    assert run_steps(changed) == ["evaluate", "export"]
    assert any(line.startswith("pretrain: finished before by other code") for line in said)


def test_a_run_that_did_not_record_its_code_asks_the_same(runs: Runs) -> None:
    runs.forget_code()
    with pytest.raises(OtherCodeError, match="of a version that did not record it"):
        runs()
    assert runs("reuse") == []
    assert runs() == []


def test_one_step_needs_those_before_it_to_be_of_this_code(runs: Runs, edit: Edit) -> None:
    edit(LOOP, "STEPS = 3")
    with pytest.raises(OtherCodeError):
        run_one_step(runs.context(), "evaluate")
    assert run_one_step(runs.context("reuse"), "evaluate") == []
    assert run_one_step(runs.context(), "evaluate") == []


def test_when_checkpoints_are_written_makes_no_other_run(runs: Runs) -> None:
    changed = ("training.checkpoint_minutes=3", "training.checkpoint_every_epochs=2")
    assert runs("ask", *changed) == []
    # As earlier versions recorded.
    inputs = runs.entry("pretrain")["inputs"]
    inputs["training"]["checkpoint_every_epochs"] = 7
    runs.change(pretrain={"inputs": inputs})
    assert runs("ask", *changed) == []


def test_a_run_whose_time_is_up_begins_no_other_step(runs: Runs) -> None:
    context = dataclasses.replace(runs.context(), stop=StopRequest(max_minutes=0.0))
    assert run_steps(context) == [], "nothing is left to do"
    context.run.close()
    shutil.rmtree(runs.path / "embeddings")
    context = dataclasses.replace(runs.context(), stop=StopRequest(max_minutes=0.0))
    with pytest.raises(Interruption, match="--max-minutes 0"):
        run_steps(context)
    context.run.close()


def test_unfinished_training_of_other_code_is_not_gone_on_with_in_silence(
    runs: Runs, edit: Edit
) -> None:
    (runs.path / "checkpoints" / "ckpt-3.index").touch()
    runs.change(pretrain={"status": "running"}, evaluate={"status": "failed"})
    began_as = runs.entry("pretrain")["fingerprint"]
    edit(LOOP, "STEPS = 3")
    with pytest.raises(OtherCodeError, match="pretrain"):
        runs()
    assert runs("reuse")[0] == "pretrain"
    assert runs.entry("pretrain")["fingerprint"] == began_as
    assert runs.entry("pretrain")["reused"]["changed"] == [LOOP]
    assert not runs.superseded or "checkpoints/model.json" not in runs.superseded
