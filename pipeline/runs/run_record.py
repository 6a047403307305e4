"""Run record: what the directory of an earlier run says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twofold.components.data.sources.source import SourceSettings
from twofold.components.errors import RunDirectoryError
from twofold.components.pages.charts import Series
from twofold.components.settings import Section
from twofold.pipeline.config.data import without_other_sources
from twofold.pipeline.runs.record_format import RECORD, parse_record

_ORDER = ("prepare", "pretrain", "evaluate", "export", "study")
_CHOICES = ("name", "policy", "kind")


@dataclass(frozen=True)
class RunRecord:
    """What ``run.json`` holds.

    Attributes:
        path: the run's directory.
        values: the record.

    """

    path: Path
    values: Mapping[str, Any]

    @property
    def configuration(self) -> dict[str, Any]:
        """The run's settings as they were recorded."""
        return without_other_sources(self.values.get("configuration") or {})

    @property
    def name(self) -> str:
        """What the run is called."""
        return str(self.configuration.get("name", self.path.resolve().name))

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """The entries of the steps, in the order in which they run."""
        entries = self.values["steps"]
        names = [*(name for name in _ORDER if name in entries), *sorted(set(entries) - {*_ORDER})]
        return {name: entries[name] for name in names}

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of all finished steps that are numbers."""
        return {
            name: value
            for entry in self.steps.values()
            if entry.get("status") == "done"
            for name, value in entry.get("metrics", {}).items()
            if isinstance(value, int | float)
        }

    @property
    def alarms(self) -> list[dict[str, Any]]:
        """The alarms of its trainings, in their order, as plain values of ``Alarm``."""
        return [
            alarm
            for entry in self.steps.values()
            for alarm in (entry.get("details") or {}).get("alarms", ())
        ]

    def details(self, step: str) -> dict[str, Any]:
        """What a step recorded; empty where it did not."""
        return dict(self.steps.get(step, {}).get("details", {}))

    @property
    def dataset(self) -> str | None:
        """The name of the data set's directory."""
        return self.details("prepare").get("dataset")

    @property
    def dataset_fingerprint(self) -> str | None:
        """What the data set's content is known by."""
        return self.details("prepare").get("dataset_fingerprint")

    @property
    def held_out(self) -> tuple[str | None, int]:
        """The split that measures were taken on, and how many images it has."""
        details = self.details("evaluate")
        name = details.get("held_out_split")
        return name, int(details.get("images", {}).get(name, 0))

    def curves(self, folder: str = "tensorboard") -> dict[str, Series]:
        """The curves that training wrote; none where it wrote none."""
        directory = self.path / folder
        if not directory.is_dir():
            return {}
        # Reading them needs TensorFlow.
        from twofold.components.training.training_curves import read_scalars

        return read_scalars(directory)

    def figures(self) -> dict[str, bytes]:
        """The pictures, PNG files, by name."""
        return {path.stem: path.read_bytes() for path in sorted(self.path.glob("figures/*.png"))}


def read_record(path: Path, *, or_alarms: bool = False) -> RunRecord:
    """Reads the record of a run of which some step beyond the data is finished.

    Args:
        path: the run's directory.
        or_alarms: whether one that an alarm stopped will do.

    Raises:
        RunDirectoryError: if the path holds no run, a damaged one, or one of which no such step is
            finished.

    """
    file = path / RECORD
    try:
        values = parse_record(file)
    except (FileNotFoundError, NotADirectoryError):
        raise RunDirectoryError(
            f"{path} is no run: expected the directory of one, which holds a {RECORD}"
        ) from None
    steps = values["steps"]
    done = [name for name, entry in steps.items() if entry.get("status") == "done"]
    record = RunRecord(path, values)
    if not set(done) - {"prepare"} and not (or_alarms and record.alarms):
        raise RunDirectoryError(
            f"{path} has nothing to report: expected a finished step after prepare, found "
            f"{', '.join(done) or 'none'}"
        )
    return record


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Gives nested settings as key paths and their values."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def changed_settings(
    section: Section, default: Any, prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Gives the settings that differ from their defaults: key path, value, default.

    Where another kind of a section is chosen, its settings are held to that kind's own defaults.
    """
    kind = type(section)
    base = default if type(default) is kind else kind.model_construct()
    if base is not default:
        tag = next((key for key in reversed(_CHOICES) if key in kind.model_fields), None)
        if tag is not None:
            chosen = getattr(default, tag, None)
            yield f"{prefix}{tag}", getattr(section, tag), chosen
    for key in kind.model_fields:
        value, usual = getattr(section, key), getattr(base, key, None)
        path = f"{prefix}{key}"
        if isinstance(value, SourceSettings):
            # In a file they are keys of the data.
            for own, one, other in changed_settings(value, usual, prefix):
                yield f"{prefix}source" if own == f"{prefix}name" else own, one, other
        elif isinstance(value, Section):
            yield from changed_settings(value, usual, f"{path}.")
        elif value != usual:
            yield path, value, usual


def setting_text(value: Any) -> str:
    """Gives a setting's value as a person would write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Section):
        tag = next((key for key in reversed(_CHOICES) if key in type(value).model_fields), None)
        return setting_text(getattr(value, tag)) if tag else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(setting_text, value)) or "empty"
    return f"{value:,}" if isinstance(value, int) else str(value)
