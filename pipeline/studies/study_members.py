"""Members of a study: which runs it consists of, and their configurations."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from pathlib import Path

from twofold.components.errors import ConfigError, RunDirectoryError
from twofold.pipeline.config import RunConfig, StudyConfig, override
from twofold.pipeline.config.study import encoders_of
from twofold.pipeline.runs.record_format import RECORD, parse_record
from twofold.pipeline.runs.run_context import Context

STEP = "study"
# What members may differ in beside method, encoder, views and training.
_OF_THE_DATA = ("training_rules", "training_images", "training_seed")


@dataclasses.dataclass(frozen=True)
class Member:
    """A run of a study.

    Attributes:
        encoder: its name in the study.
        seed: of the run.
        context: what its steps are handed.
        fraction: of the labels that it trains with, for the curves alone; None: with all that its
            own settings keep, and it is measured in every way.

    """

    encoder: str
    seed: int
    context: Context
    fraction: float | None = None


def study_of(config: RunConfig) -> StudyConfig:
    """Returns the study of a configuration.

    Raises:
        ConfigError: if it has none.

    """
    if config.study is None:
        raise ConfigError(f"{config.name} is no study: expected study.encoders or study.sweep")
    return config.study


def member_config(config: RunConfig, encoder: str, seed: int) -> RunConfig:
    """Returns the configuration of an encoder of a study.

    Raises:
        ConfigError: if its settings cannot be used, or it would see other images.

    """
    study = study_of(config)
    settings = encoders_of(study)[encoder]
    place = f"study.encoders.{encoder}" if encoder in study.encoders else f"study.sweep, {encoder}"
    try:
        alone = override(config.model_copy(update={"study": None}), settings)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    own = {name: getattr(alone.data, name) for name in _OF_THE_DATA}
    if alone.data != config.data.model_copy(update=own):
        raise ConfigError(
            f"{place}: all encoders of a study see the same images: expected of "
            f"data.* no settings but {', '.join(_OF_THE_DATA)}"
        )
    return alone.model_copy(update={"name": f"{encoder}-seed-{seed}", "seed": seed})


def is_prepared(member: Path) -> bool:
    """Tells whether the directory of a member says that its images are prepared."""
    try:
        steps = parse_record(member / RECORD)["steps"]
    except (FileNotFoundError, RunDirectoryError):
        return False
    return bool(steps.get("prepare", {}).get("status") == "done")


def label_name(config: RunConfig) -> str:
    """Returns what the images' label is called."""
    return config.data.source.label_name


def fewer_labels(study: StudyConfig) -> list[float]:
    """Returns the shares of the labels that are not all, ascending."""
    return sorted(fraction for fraction in set(study.label_fractions) if fraction < 1)


def trained_fractions(study: StudyConfig, epochs: int) -> list[float]:
    """Returns the shares of the labels that a supervised network is trained anew for, ascending.

    With all labels it is the encoder itself, unless its epochs for the curves are others.

    Args:
        study: whose curves these are.
        epochs: of the encoder's own training.

    """
    shares = fewer_labels(study)
    anew = study.fraction_training_epochs not in (None, epochs)
    return [*shares, 1.0] if anew and 1.0 in study.label_fractions else shares


def epochs_on_fewer(epochs: int, fraction: float) -> int:
    """Returns ceil(epochs / sqrt(fraction)): fewer labels are gone through more often."""
    # As written, a hundredth takes ten times the epochs; as floats it is a little more.
    return math.ceil(round(epochs / math.sqrt(Fraction(str(fraction))), 9))
