"""Where images come from: one class a kind of source, looked up by name in `SOURCES`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from twofold.components.data.sources.base import Source
from twofold.components.data.sources.dsprites import DspritesSource
from twofold.components.data.sources.folder import FolderSource
from twofold.components.data.sources.listing import ListingSource
from twofold.components.data.sources.npz import NpzSource
from twofold.components.data.sources.tfds import TfdsSource
from twofold.components.data.sources.tfrecord import TfrecordSource
from twofold.components.errors import DataError

SOURCES: dict[str, Callable[..., Source]] = {
    "dsprites": DspritesSource,
    "npz": NpzSource,
    "folder": FolderSource,
    "listing": ListingSource,
    "tfds": TfdsSource,
    "tfrecord": TfrecordSource,
}


def build_source(kind: str, **settings: Any) -> Source:
    """The source of this kind with these settings.

    Raises:
        DataError: the kind or a setting is unknown, or the source refuses its settings or input.

    """
    if kind not in SOURCES:
        raise DataError(f"unknown data source {kind!r}; known sources: {', '.join(SOURCES)}")
    signature = inspect.signature(SOURCES[kind])
    try:
        signature.bind(**settings)
    except TypeError as error:
        raise DataError(
            f"{kind} source: {error}; its settings: {', '.join(signature.parameters)}"
        ) from None
    return SOURCES[kind](**settings)
