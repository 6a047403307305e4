"""Where images come from: one class a kind of source, its settings in the registry `SOURCES`."""

from __future__ import annotations

from typing import Any

import pydantic

from twofold.components.data.sources.dsprites import DspritesSettings
from twofold.components.data.sources.folder import FolderSettings
from twofold.components.data.sources.listing import ListingSettings
from twofold.components.data.sources.npz import NpzSettings
from twofold.components.data.sources.source import SOURCES, Source
from twofold.components.data.sources.tfds import TfdsSettings
from twofold.components.data.sources.tfrecord import TfrecordSettings
from twofold.components.errors import DataError

__all__ = [
    "SOURCES",
    "DspritesSettings",
    "FolderSettings",
    "ListingSettings",
    "NpzSettings",
    "TfdsSettings",
    "TfrecordSettings",
    "build_source",
]


def build_source(kind: str, **settings: Any) -> Source:
    """The source of this kind with these settings.

    Raises:
        SettingsError: the kind is unknown.
        DataError: a setting is unknown or not accepted, or the source refuses its input.

    """
    chosen = SOURCES[kind]
    try:
        return chosen.model_validate(settings).build()
    except pydantic.ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}, received {one['input']!r}"
            for one in error.errors()
        )
        known = ", ".join(chosen.setting_names())
        raise DataError(f"{kind} source: {problems}; its settings: {known}") from None
