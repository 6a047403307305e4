"""TensorBoard of a run's settings: hyperparameters to compare runs by, and the configuration."""

from __future__ import annotations

from pathlib import Path

from tensorboard.plugins.hparams import api, api_pb2
from tensorboard.plugins.hparams.summary import session_end_pb

from twofold.components.training.tensorboard.chart_layout import chart_layout
from twofold.components.training.tensorboard.event_writer import TensorBoardWriter
from twofold.pipeline.config import RunConfig, to_yaml
from twofold.pipeline.runs.run_hyperparameters import hyperparameters


def show_settings(config: RunConfig, run: Path) -> None:
    """Writes a run's settings before it trains.

    Args:
        config: of the run.
        run: its directory.

    """
    values = hyperparameters(config.model_dump(mode="json"))
    writer = TensorBoardWriter(run / "tensorboard", part="settings")
    # Runs of one group would be shown as one.
    path = run.resolve()
    writer.message(api.hparams_pb(values, trial_id=f"{path.parent.name}/{path.name}"))
    writer.message(chart_layout())
    writer.text(0, "configuration", f"```\n{to_yaml(config)}```")
    writer.close()


def show_end(run: Path) -> None:
    """Notes that a run's training has ended."""
    writer = TensorBoardWriter(run / "tensorboard", part="end")
    writer.message(session_end_pb(api_pb2.STATUS_SUCCESS))
    writer.close()
