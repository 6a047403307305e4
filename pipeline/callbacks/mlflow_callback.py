"""MLflow callback: a training's settings, metrics and end as a run of MLflow.

    pip install mlflow-skinny
    twofold run quickstart --set training.callbacks=[CALLBACK]

with ``twofold.pipeline.callbacks.mlflow_callback:MLflowCallback`` for CALLBACK.

Where runs are kept is MLflow's own affair: ``MLFLOW_TRACKING_URI`` (a server, or
``sqlite:///mlflow.db`` without one, which needs sqlalchemy and alembic) and
``MLFLOW_EXPERIMENT_NAME`` (otherwise "twofold").
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import mlflow

from twofold.components.training.reporting.training_callbacks import Data, TrainingCallback

_ID = "twofold.id"
# Sections of a configuration whose settings are parameters; all of it is an artifact.
_SECTIONS = ("seed", "method", "encoder", "views", "training")
# As many as MLflow takes at a time.
_BATCH = 100
_STATUS = {"done": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


class MLflowCallback(TrainingCallback):
    """Keeps one run of MLflow for a training, however often that was interrupted."""

    def __init__(self) -> None:
        self._client = mlflow.MlflowClient()
        self._run = ""
        self._logged = 0

    def on_begin(self, training: Data) -> None:
        """Makes the run, or goes on with the one of an earlier attempt."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "twofold")
        experiment = mlflow.set_experiment(name).experiment_id
        found = self._client.search_runs([experiment], f"tags.`{_ID}` = '{training['id']}'")
        if found:
            self._run = found[0].info.run_id
            # What an earlier attempt logged after its last checkpoint comes again, the same.
            history = self._client.get_metric_history(self._run, "loss")
            self._logged = max((point.step for point in history), default=0)
            self._client.set_terminated(self._run, "RUNNING")
            return
        self._run = self._client.create_run(
            experiment,
            tags={_ID: training["id"]},
            run_name=f"{training['run']} {training['stage']}",
        ).info.run_id
        configuration = training["configuration"]
        chosen = {name: configuration[name] for name in _SECTIONS}
        parameters = [mlflow.entities.Param(*one) for one in _flat(chosen)]
        for start in range(0, len(parameters), _BATCH):
            self._client.log_batch(self._run, params=parameters[start : start + _BATCH])
        self._client.log_dict(self._run, configuration, "configuration.yaml")

    def on_interval(self, interval: Data) -> None:
        """Logs all metrics by step."""
        if interval["step"] <= self._logged:
            return
        values = {
            **interval["metrics"],
            **{name: interval[name] for name in ("learning_rate", "images_per_second", "images")},
        }
        time = int(interval["wall_time"] * 1000)
        metrics = [
            mlflow.entities.Metric(name, float(value), time, interval["step"])
            for name, value in values.items()
        ]
        self._client.log_batch(self._run, metrics=metrics)

    def on_alarm(self, alarm: Data) -> None:
        """Leaves a tag; after a rollback the steps that come again are others."""
        self._client.set_tag(self._run, f"alarm.{alarm['name']}", alarm["message"])
        if alarm["rolled_back_to"] is not None:
            self._logged = alarm["rolled_back_to"]

    def on_end(self, end: Data) -> None:
        """Ends the run."""
        if end["error"] is not None:
            self._client.set_tag(self._run, "error", end["error"])
        self._client.set_terminated(self._run, _STATUS[end["status"]])


def _flat(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", str(value)
