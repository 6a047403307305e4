"""Lineage of an exported model, written beside its graph so that reading it needs no code.

``assets.extra/twofold.json`` holds all of it, and ``assets.extra/config.yaml`` the configuration
once more, as ``twofold run`` takes it back.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twofold.components import files
from twofold.components.errors import ExportedModelError
from twofold.components.export.saved_model.version_directory import (
    EXTRA,
    checksum_of,
    file_checksums,
)

LINEAGE_FILE = "twofold.json"
CONFIG_FILE = "config.yaml"
NOT_STATED = "not stated"
FORMAT_VERSION = 1

_CLASSIFIER = "License :: OSI Approved :: "
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LICENCE_LETTERS = 80
_STATE_FILE = "checkpoint"
_SIZES = ("height", "width", "channels")


@dataclasses.dataclass(frozen=True)
class DataSummary:
    """The prepared data set that the encoder was trained and measured on.

    Attributes:
        fingerprint: of its source and the settings of its preparation.
        name: what it is called.
        source: the kind of its source, such as ``folder``.
        images: of each split.
        labels: images of each class over all splits.
        rejected: images that were not usable.
        duplicates: images that another one resembles, None where they were not searched for.
        leaked: training images that resemble a held-out one, None likewise.
        licence: of the images.

    """

    fingerprint: str
    name: str = ""
    source: str = ""
    images: Mapping[str, int] = dataclasses.field(default_factory=dict)
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    rejected: int = 0
    duplicates: int | None = None
    leaked: int | None = None
    licence: str = NOT_STATED


@dataclasses.dataclass(frozen=True)
class Lineage:
    """What a model came from and what was measured of it.

    Attributes:
        configuration: of the run, as JSON holds it.
        configuration_yaml: the same as text for ``twofold run``.
        class_names: of the classes that the model tells apart, in the order of its logits; empty
            where it has no head.
        image: ``height``, ``width`` and ``channels`` of the encoder's pixels, and what else
            there is to say of the files that it reads, as JSON holds it.
        data: what it was trained on.
        checkpoint: see ``checkpoint_sha256``.
        metrics: by name.
        held_out_split: the split that the metrics were measured on.
        held_out_images: how many images that has, 0 where it is not known.
        versions: of Twofold, its packages and Python, and the git revision; None where there is
            none.
        licences: of Twofold and its packages, by name.

    """

    configuration: Mapping[str, Any]
    configuration_yaml: str
    class_names: tuple[str, ...]
    image: Mapping[str, Any]
    data: DataSummary
    checkpoint: str
    metrics: Mapping[str, float]
    held_out_split: str
    held_out_images: int
    versions: Mapping[str, str | None]
    licences: Mapping[str, str]


def write_lineage(version: Path, lineage: Lineage) -> Path:
    """Writes the lineage into a version directory.

    Args:
        version: holds the SavedModel.
        lineage: of that model.

    Returns:
        The path of the JSON file. Metrics that are not finite are null there, since JSON has none.

    """
    content = dataclasses.asdict(lineage)
    text = content.pop("configuration_yaml")
    content |= {
        "format_version": FORMAT_VERSION,
        "class_names": list(lineage.class_names),
        # The data set's fingerprint has been there under this name since before the summary was.
        "dataset_fingerprint": lineage.data.fingerprint,
        "metrics": {
            name: value if math.isfinite(value) else None for name, value in lineage.metrics.items()
        },
    }
    path = version / EXTRA / LINEAGE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(version / EXTRA / CONFIG_FILE, text)
    files.write_json(path, content)
    return path


def read_lineage(version: Path) -> Lineage | None:
    """Reads what ``write_lineage`` wrote, or as much as models hold that were exported before it.

    Returns:
        None where the version holds no lineage.

    Raises:
        ExportedModelError: if the file is damaged or of another format version.

    """
    path = version / EXTRA / LINEAGE_FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        text = version / EXTRA / CONFIG_FILE
        yaml = text.read_text(encoding="utf-8") if text.exists() else ""
    except (OSError, ValueError) as error:
        raise ExportedModelError(f"{path} is damaged: {error}") from error
    try:
        found = content.get("format_version", FORMAT_VERSION)
        if found != FORMAT_VERSION:
            raise ExportedModelError(
                f"{path}: expected format version {FORMAT_VERSION}, received {found}"
            )
        return _parse(content, yaml)
    except (AttributeError, KeyError, TypeError) as error:
        raise ExportedModelError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def checkpoint_sha256(directory: Path) -> str:
    """The sha256 (hex) of a checkpoint: that of ``sha256sum``'s lines for its files, by path.

    Args:
        directory: holds the weights' files. The file in which TensorFlow notes which checkpoint is
            the newest is left out, since it holds the time.

    Raises:
        ExportedModelError: if there are no files.

    """
    checksums = file_checksums(directory)
    checksums.pop(_STATE_FILE, None)
    if not checksums:
        raise ExportedModelError(f"{directory} holds no checkpoint: expected a directory of files")
    return checksum_of(checksums)


def installed_versions(git_revision: str | None) -> dict[str, str | None]:
    """The versions of what exports: Twofold, TensorFlow, Keras, NumPy and Python."""
    packages = {name: _version(name) for name in ("twofold", "tensorflow", "keras", "numpy")}
    return {**packages, "python": platform.python_version(), "git_revision": git_revision}


def package_licences(distribution: str = "twofold") -> dict[str, str]:
    """The licences of an installed package and of those that it requires, as they state them.

    Returns:
        Licence by package; ``not stated`` where its metadata name none.

    """
    required = importlib.metadata.requires(distribution) or []
    found = (_REQUIREMENT.match(one) for one in required if "extra ==" not in one)
    names = [distribution, *sorted(match[0] for match in found if match is not None)]
    return {name: _licence(name) for name in names}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _licence(package: str) -> str:
    try:
        metadata = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        return NOT_STATED
    classifiers = [
        one.removeprefix(_CLASSIFIER)
        for one in metadata.get_all("Classifier") or []
        if one.startswith(_CLASSIFIER)
    ]
    # Some packages put the whole text where its name belongs.
    stated = [
        " ".join(text.split())
        for field in ("License-Expression", "License")
        for text in metadata.get_all(field) or []
        if text and len(text) <= _LICENCE_LETTERS
    ]
    return next(iter([*stated, ", ".join(classifiers)]), "") or NOT_STATED


def _parse(content: Mapping[str, Any], yaml: str) -> Lineage:
    data = dict(content.get("data") or {"fingerprint": content["dataset_fingerprint"]})
    names: Sequence[str] = content["class_names"]
    return Lineage(
        configuration=dict(content["configuration"]),
        configuration_yaml=yaml,
        class_names=tuple(names),
        image={**content["image"], **{name: int(content["image"][name]) for name in _SIZES}},
        data=DataSummary(**data),
        checkpoint=str(content.get("checkpoint", "")),
        metrics={
            name: math.nan if value is None else float(value)
            for name, value in content["metrics"].items()
        },
        held_out_split=str(content.get("held_out_split", "")),
        held_out_images=int(content.get("held_out_images", 0)),
        versions=dict(content.get("versions", {})),
        licences=dict(content.get("licences", {})),
    )
