"""Weights & Biases callback: a training's settings, metrics and end as a run of wandb.

    pip install wandb
    twofold run quickstart --set training.callbacks=[CALLBACK]

with ``twofold.pipeline.callbacks.wandb_callback:WandbCallback`` for CALLBACK.

Where runs go is wandb's own affair: ``WANDB_PROJECT`` (otherwise "twofold"), ``WANDB_ENTITY``, and
``WANDB_MODE=offline``, which keeps them below the run's directory for ``wandb sync --append``, one
folder for each attempt. wandb writes some seconds late: a process that is killed leaves out its
last points there, which ``metrics.jsonl`` has.
"""

from __future__ import annotations

import os
from typing import Any

import wandb

from twofold.components.training.reporting.training_callbacks import Data, TrainingCallback

# As many characters as an id may have there; what tells trainings apart is at its end.
_ID_LENGTH = 64


class WandbCallback(TrainingCallback):
    """Keeps one run of wandb for a training, however often that was interrupted."""

    def __init__(self) -> None:
        self._run: Any = None

    def on_begin(self, training: Data) -> None:
        """Makes the run, or goes on with the one of an earlier attempt."""
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "twofold"),
            id=training["id"][-_ID_LENGTH:],
            name=f"{training['run']} {training['stage']}",
            group=training["run"],
            config=training["configuration"],
            dir=training["directory"],
            resume="allow",
        )
        # Charts over the step of training, not over wandb's own, which cannot go back: after an
        # interruption the steps since the last checkpoint come again, the same.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def on_interval(self, interval: Data) -> None:
        """Logs all metrics by step."""
        names = ("step", "epoch", "images", "learning_rate", "images_per_second")
        self._run.log({**interval["metrics"], **{name: interval[name] for name in names}})

    def on_alarm(self, alarm: Data) -> None:
        """Sends an alert."""
        self._run.alert(title=f"alarm {alarm['name']}", text=alarm["message"])

    def on_end(self, end: Data) -> None:
        """Ends the run."""
        self._run.summary["twofold/status"] = end["status"]
        self._run.finish(exit_code=0 if end["status"] == "done" else 1)
