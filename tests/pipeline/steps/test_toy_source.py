"""A source of a user's own: its settings and its class, registered, and prepared from by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
from pydantic import Field

from tests.pipeline.conftest import Outcome
from twofold.components.data.sources import SOURCES
from twofold.components.data.sources.source import (
    Item,
    Select,
    Source,
    SourceInfo,
    SourceSettings,
    position_range,
    positions,
    select_all,
)
from twofold.components.data.store.manifest import load_manifest
from twofold.components.errors import ConfigError
from twofold.pipeline.config import RunConfig, override, to_commented_yaml


class StripesSource:
    """Images of stripes, some along and some across; which of the two is the label."""

    def __init__(self, stripes: int, width: int) -> None:
        self._stripes, self._width = stripes, width

    def info(self) -> SourceInfo:
        """Names, count, and a fingerprint of the settings."""
        return SourceInfo(
            kind="stripes",
            class_names=("along", "across"),
            latent_names=(),
            fingerprint=hashlib.sha256(f"{self._stripes} {self._width}".encode()).hexdigest(),
            items=self._stripes,
        )

    def tasks(self, items: int) -> Iterator[bytes]:
        """Positions."""
        return positions(0, self._stripes, items)

    def read(self, task: bytes, selected: Select = select_all) -> Iterator[Item]:
        """Each image a shade of its own."""
        for position in position_range(task):
            lines = (
                np.arange(16)[:, None] // self._width % 2 * (55 + 200 * position / self._stripes)
            )
            image = np.broadcast_to(lines, (16, 16)).astype(np.uint8)[..., None]
            label = position % 2
            yield Item(
                key=f"stripes/{position:04d}",
                image=image.transpose(1, 0, 2) if label else image,
                label=label,
                content_id="stripes",
            )


class StripesSettings(SourceSettings):
    """Settings of generated stripes."""

    name: Literal["stripes"] = "stripes"
    reads_files: ClassVar[bool] = False
    stripes: int = Field(60, ge=1, description="how many images")
    width: int = Field(2, ge=1, le=8, description="pixels of a stripe")

    def build(self, *, convertible: bool = False) -> Source:
        """Builds the source."""
        return StripesSource(**self.arguments())


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SOURCES, "classes", dict(SOURCES.classes))
    SOURCES.register(StripesSettings)


def test_it_is_chosen_by_its_name_and_set_like_any_other() -> None:
    config = override(RunConfig(), ["data.source=stripes", "data.stripes=9"])

    assert config.data.source == StripesSettings(stripes=9)
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config
    assert "  # pixels of a stripe (1 to 8)\n  width: 2\n" in to_commented_yaml(config)


def test_its_settings_are_refused_of_another_source_and_out_of_range() -> None:
    with pytest.raises(ConfigError, match=r"data\.stripes is a setting of data\.source=stripes"):
        override(RunConfig(), ["data.stripes=9"])
    with pytest.raises(ConfigError, match=r"data\.width: input should be less than or equal to 8"):
        override(RunConfig(), ["data.source=stripes", "data.width=9"])


def test_a_data_set_is_prepared_from_it(twofold: Callable[..., Outcome], tmp_path: Path) -> None:
    settings = ("data.source=stripes", "data.width=4", "data.duplicates=off")
    options = [part for setting in settings for part in ("--set", setting)]

    ended = twofold("prepare", "quickstart", "--workdir", str(tmp_path), *options)

    assert ended.status == 0, ended.error
    (folder,) = (tmp_path / "datasets").glob("stripes-*")
    manifest = load_manifest(str(folder))
    assert manifest.class_names == ("along", "across")
    assert manifest.counts.written == 60
