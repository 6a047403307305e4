"""Callbacks of a run: from a module in the working directory, and from a program of one's own."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.pipeline.conftest import Outcome, short_run
from twofold.components.training.reporting.training_callbacks import TrainingCallback
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.training.stage_callbacks import stage_callbacks

MODULE = """
import json
from pathlib import Path

class Lines:
    def on_interval(self, interval):
        with Path("lines.jsonl").open("a") as file:
            print(json.dumps(interval["metrics"]), file=file)

class Failing:
    def on_epoch(self, interval):
        raise ConnectionError("no server")
"""


def test_a_run_calls_what_its_settings_name_and_outlives_what_that_raises(
    twofold: Callable[..., Outcome],
    two_classes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tf_callbacks.py").write_text(MODULE)
    arguments = (*short_run(two_classes, tmp_path), "--until", "pretrain", "--name", "run")
    named = "training.callbacks=[tf_callbacks:Lines,tf_callbacks:Failing]"
    ended = twofold(*arguments, "--set", named)
    assert (ended.status, ended.error) == (0, "")
    failed = "pretrain: callback tf_callbacks:Failing "
    assert (
        f"{failed}failed in on_epoch and is called no more: ConnectionError: no server; training "
        f"goes on, train.log has the traceback" in ended.out
    )
    assert f"{failed}missed what came after its failure" in ended.out
    log = (tmp_path / "run" / "train.log").read_text()
    assert 'raise ConnectionError("no server")' in log
    record = json.loads((tmp_path / "run" / "run.json").read_text())["steps"]["pretrain"]
    assert record["details"]["callback_failures"] == [
        {
            "stage": "pretrain",
            "callback": "tf_callbacks:Failing",
            "event": "on_epoch",
            "error": "ConnectionError: no server",
        }
    ]
    heard = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    intervals = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [one["loss"] for one in heard] == [json.loads(line)["loss"] for line in intervals]
    assert "pretrain: finished before, reused" in twofold(*arguments).out


def test_what_cannot_be_imported_is_refused_before_anything_begins(
    twofold: Callable[..., Outcome], two_classes: Path, tmp_path: Path
) -> None:
    refused = twofold(
        *short_run(two_classes, tmp_path), "--set", "training.callbacks=[tf_nowhere:A]"
    )
    assert refused.status == 2
    assert "training.callbacks: there is no module tf_nowhere" in refused.error
    assert not list(tmp_path.iterdir())


def test_a_program_adds_objects_of_its_own() -> None:
    mine = TrainingCallback()
    config = override(RunConfig(), [f"training.callbacks=['{__name__}:TrainingCallback']"])
    context: Any = SimpleNamespace(config=config, callbacks=(mine,))
    (named, first), (name, second) = stage_callbacks(context, "training")
    assert named == f"{__name__}:TrainingCallback"
    assert first is not mine
    assert name == "twofold.components.training.reporting.training_callbacks:TrainingCallback"
    assert second is mine


def test_a_name_of_another_form_is_refused_with_the_setting() -> None:
    with pytest.raises(ValueError, match=r"training\.callbacks.*expected module:name.*'mine\.py'"):
        override(RunConfig(), ["training.callbacks=[mine.py]"])
