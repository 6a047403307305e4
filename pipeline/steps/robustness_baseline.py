"""Robustness baseline: the run that errors on corrupted images are compared with."""

from __future__ import annotations

import json
from pathlib import Path

from twofold.components.errors import ConfigError
from twofold.pipeline.config import EvaluationConfig
from twofold.pipeline.runs.run_directory import METRICS

_PREFIX = "robustness/"


def read_baseline(config: EvaluationConfig) -> dict[str, float] | None:
    """Returns a run's metrics on corrupted images, or None where no baseline is set.

    Raises:
        ConfigError: if the directory holds no such metrics.

    """
    if config.robustness == "off" or config.robustness_baseline is None:
        return None
    path = Path(config.robustness_baseline).expanduser() / METRICS
    named = f"evaluation.robustness_baseline={config.robustness_baseline}"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{named}: expected the directory of a run with {METRICS}, received {path}: "
            f"{error.strerror}"
        ) from None
    except ValueError as error:
        raise ConfigError(f"{named}: {path} is damaged: expected JSON, received {error}") from None
    metrics = {
        name: value
        for name, value in (metrics.items() if isinstance(metrics, dict) else ())
        if name.startswith(_PREFIX)
    }
    if not metrics:
        raise ConfigError(
            f"{named}: {path} has no metrics on corrupted images: evaluate that run with "
            f"evaluation.robustness={config.robustness} first"
        )
    return metrics
