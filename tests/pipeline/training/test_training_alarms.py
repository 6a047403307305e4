"""Alarms of a run: which apply, and what is left of a run that one of them stops."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.components.data.splits import rows
from tests.components.training.tensorboard.event_files import read as read_events
from tests.pipeline.conftest import Outcome, short_run
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.training.input_pipeline import InputPipeline
from twofold.pipeline.training.prepared_images import TrainingImages
from twofold.pipeline.training.training_alarms import build_alarms


def alarms_of(state: Any, *settings: str) -> dict[str, Any]:
    """The alarms of a training on 20 images, and what a checkpoint holds of each."""
    config = override(RunConfig(), ("training.batch_size=4", *settings))
    split = rows(20)
    watch = build_alarms(InputPipeline(config, TrainingImages(split, split)), state)
    held: dict[str, Any] = watch.state()["rules"]
    return held


def test_all_alarms_watch_that_apply_and_are_not_off() -> None:
    models = {"encoder": SimpleNamespace(variables=[])}
    queue = SimpleNamespace(rows=np.zeros((64, 3)))
    state = SimpleNamespace(models=models, probe="probe", memory={"queue": queue})
    everything = ["collapse", "input_starvation", "loss_spike", "stale_queue", "stalled_probe"]
    assert sorted(alarms_of(state)) == everything
    plain = SimpleNamespace(models=models, probe=None, memory={})
    given = alarms_of(plain, "training.alarms.loss_spike=off")
    assert sorted(given) == ["collapse", "input_starvation"]


def test_a_run_that_an_alarm_stops_says_so_everywhere(
    two_classes: Path, tmp_path: Path, twofold: Callable[..., Outcome]
) -> None:
    # Features are never spread more evenly than evenly.
    alarms = "training.alarms={collapse: stop, checks: 1, collapsed_deviation: 1.0}"
    command = [*short_run(two_classes, tmp_path, alarms), "--name", "ill", "--until", "pretrain"]
    outcome = twofold(*command)

    assert outcome.status == 4
    line = outcome.error.splitlines()[-1]
    assert "alarm collapse at step 4: the features of all images are nearly the same" in line
    assert "below 1" in line
    run = tmp_path / "ill"
    entry = json.loads((run / "run.json").read_text())["steps"]["pretrain"]
    (alarm,) = entry["details"]["alarms"]
    assert (entry["status"], alarm["name"], alarm["step"], alarm["action"]) == (
        *("failed", "collapse", 4, "stop"),
    )
    assert "Alarm collapse: at step 4 the training pretrain was stopped" in " ".join(
        (run / "report.html").read_text().split()
    )
    assert "alarms/collapse" in read_events(run / "tensorboard").Tags()["tensors"]
    assert twofold(*command, "--set", "training.alarms.collapse=warn").status == 0
