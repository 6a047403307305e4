"""Configuration of a run: frozen, strict, and complete."""

from twofold.components.data.sources import (
    DspritesSettings,
    FolderSettings,
    ListingSettings,
    NpzSettings,
    TfdsSettings,
    TfrecordSettings,
)
from twofold.components.training.settings import (
    EarlyStoppingSettings,
    EmaSettings,
    PlateauSettings,
    SwaSettings,
    TrainingSettings,
)
from twofold.pipeline.config.commented_yaml import to_commented_yaml
from twofold.pipeline.config.data import DataConfig
from twofold.pipeline.config.evaluation import EvaluationConfig
from twofold.pipeline.config.export_settings import ExportConfig
from twofold.pipeline.config.parse import load_yaml, override, parse_config, to_yaml
from twofold.pipeline.config.run import RunConfig
from twofold.pipeline.config.study import StudyConfig

__all__ = [
    "DataConfig",
    "DspritesSettings",
    "EarlyStoppingSettings",
    "EmaSettings",
    "EvaluationConfig",
    "ExportConfig",
    "FolderSettings",
    "ListingSettings",
    "NpzSettings",
    "PlateauSettings",
    "RunConfig",
    "StudyConfig",
    "SwaSettings",
    "TfdsSettings",
    "TfrecordSettings",
    "TrainingSettings",
    "load_yaml",
    "override",
    "parse_config",
    "to_commented_yaml",
    "to_yaml",
]
