"""Data sets are shared by runs, and belong to the code that prepared them."""

import json
import os

import pytest

from tests.pipeline.steps.reuse.conftest import SHARDS, Edit, Runs
from twofold.components.data.store.manifest import read_code
from twofold.components.errors import DataError, OtherCodeError
from twofold.pipeline.runs.run_directory import fingerprint
from twofold.pipeline.steps.reuse.outputs import STEPS
from twofold.pipeline.steps.runner import run_steps


def test_a_damaged_data_set_is_named_and_left_alone(runs: Runs) -> None:
    shard = next(runs.datasets.glob("*/train-*.tfrecord"))
    os.truncate(shard, 100)
    with pytest.raises(DataError, match=r"is damaged: .* prepares it again"):
        runs()
    assert any(str(shard) in line for line in runs.said)
    shard.unlink()
    with pytest.raises(DataError, match="is damaged"):
        runs()


def test_a_data_set_that_is_gone_is_prepared_again_and_the_rest_is_kept(runs: Runs) -> None:
    directory = next(runs.datasets.iterdir())
    directory.rename(runs.datasets.parent / "moved")
    assert runs() == ["prepare"]
    assert directory.is_dir()


def test_a_data_set_of_other_code_is_not_used_in_silence_by_a_new_run(
    runs: Runs, edit: Edit
) -> None:
    edit(SHARDS, "ALIGNED = True")
    with pytest.raises(OtherCodeError, match=f"was prepared by other code .changed: {SHARDS}"):
        runs(name="second")
    (first,) = runs.datasets.iterdir()
    assert runs("reuse", name="second") == list(STEPS)
    assert list(runs.datasets.iterdir()) == [first]
    assert runs("update", name="third") == list(STEPS)
    second = next(path for path in runs.datasets.iterdir() if path != first)
    assert second.name.startswith(f"{first.name}-")
    assert read_code(first) != read_code(second)
    # Both are kept, and each run goes on with its own.
    assert runs(name="third") == []
    assert runs(name="fourth") == list(STEPS)
    assert len(list(runs.datasets.iterdir())) == 2


@pytest.mark.parametrize("content", [b"\xff", b"[3]", b'{"a": 1}'])
def test_a_damaged_record_of_what_prepared_a_data_set_is_as_none(
    content: bytes, runs: Runs
) -> None:
    next(runs.datasets.glob("*/code.json")).write_bytes(content)
    with pytest.raises(OtherCodeError, match=r"did not record it.*--reuse.*--update"):
        runs(name="second")


def test_steps_on_another_data_set_are_not_those_of_the_run(runs: Runs, edit: Edit) -> None:
    runs.change(pretrain={"seconds": 7000})
    (runs.path / "report.html").touch()
    edit(SHARDS, "ALIGNED = True")
    context = runs.context("update")
    assert run_steps(context, "prepare") == ["prepare"]
    assert context.run.metrics() == runs.entry("prepare")["metrics"]
    context.run.close()
    assert any(
        line.startswith("prepare: replaces pretrain (1.9 h), evaluate") for line in runs.said
    )
    assert list(json.loads((runs.path / "run.json").read_text())["steps"]) == ["prepare"]
    assert {"checkpoints/model.json", "report.html"} <= set(runs.superseded)
    assert not (runs.path / "checkpoints").exists()
    assert not (runs.path / "report.html").exists()


def test_training_on_the_same_images_of_other_code_is_kept_or_asked_about(
    runs: Runs, edit: Edit
) -> None:
    prepared_by = runs.entry("prepare")["code"] | {SHARDS: "0" * 16}
    runs.change(prepare={"code": prepared_by})
    assert runs.entry("pretrain")["inputs"]["dataset_code"]
    for other_code in ("ask", "reuse", "ask"):
        if other_code == "ask" and "reused" not in runs.entry("pretrain"):
            with pytest.raises(OtherCodeError):
                runs(other_code)
        else:
            assert runs(other_code) == []
    assert runs.superseded == []


def test_other_images_replace_no_finished_training_without_being_asked_to(
    runs: Runs,
) -> None:
    values = runs.entry("prepare")["inputs"] | {"source": "other images"}
    runs.change(prepare={"inputs": values}, pretrain={"seconds": 7000})
    for other_code in ("ask", "reuse"):
        with pytest.raises(OtherCodeError, match=r"other images .*--name, .*--update.* 1\.9 h"):
            runs(other_code)
    assert runs.entry("pretrain")["status"] == "done"


def test_a_data_set_keeps_its_name_between_versions(runs: Runs) -> None:
    """As it was named when its code was not yet known."""
    values = {"step": "prepare-1", **runs.entry("prepare")["inputs"]}
    names = [path.name for path in runs.datasets.iterdir()]
    assert names == [f"dsprites-{fingerprint(values)}"]
