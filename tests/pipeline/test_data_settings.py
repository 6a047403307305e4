"""Data settings: a source's own are keys like the others, and those of another are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from twofold.components.errors import ConfigError
from twofold.pipeline.config import (
    DataConfig,
    DspritesSettings,
    FolderSettings,
    NpzSettings,
    RunConfig,
    TfdsSettings,
    load_yaml,
    override,
    to_yaml,
)
from twofold.pipeline.recipes import load_recipe
from twofold.pipeline.runs.run_directory import RunDirectory

# The keys that every file of version 0.1.0 held before a source had settings of its own.
OF_ALL_SOURCES: dict[str, Any] = {
    "path": [],
    "images": 20000,
    "image_field": None,
    "label_field": None,
    "key_field": None,
    "split_field": None,
    "group_field": None,
    "weight_field": None,
    "class_names": [],
    "root": None,
    "group_pattern": None,
    "latents_field": None,
    "latent_names": [],
    "label_latent": None,
    "tfds_name": None,
    "tfds_dir": None,
    "tfds_splits": [],
    "tfds_manual_dir": None,
    "tfds_download": False,
}
TFDS = RunConfig(data=DataConfig(source=TfdsSettings(tfds_name="cifar10"), image_size=24))


def old_values(recipe: str) -> dict[str, Any]:
    """A recipe's configuration as an earlier version wrote it."""
    values = load_recipe(recipe).model_dump(mode="json")
    return {**values, "data": {**OF_ALL_SOURCES, **values["data"]}}


def test_the_settings_of_a_source_are_keys_of_the_data() -> None:
    data = yaml.safe_load(to_yaml(TFDS))["data"]

    assert list(data)[:3] == ["source", "tfds_name", "tfds_dir"]
    assert (data["source"], data["tfds_name"], data["image_size"]) == ("tfds", "cifar10", 24)
    assert "images" not in data


def test_another_source_drops_what_was_set_for_the_one_before() -> None:
    config = override(TFDS, ["data.source=folder", "data.path=photos"])

    assert config.data == DataConfig(source=FolderSettings(path=("photos",)), image_size=24)


def test_another_source_keeps_what_both_call_by_one_name() -> None:
    start = override(RunConfig(), ["data.label_latent=posX", "data.images=9"])

    config = override(start, ["data.source=npz", "data.path=a.npz"])

    assert config.data.source == NpzSettings(path=("a.npz",), label_latent="posX")


def test_choosing_the_present_source_changes_nothing() -> None:
    assert override(TFDS, ["data.source=tfds"]) == TFDS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["data.source=folder", "data.path=a", "data.tfds_splits=[train]"],
            "data.tfds_splits is a setting of data.source=tfds, and data.source=folder was "
            "chosen: remove it, or choose data.source=tfds",
        ),
        (
            ["data.source=npz", "data.path=a.npz", "data.images=7"],
            "data.images is a setting of data.source=dsprites, and data.source=npz was chosen",
        ),
        (["data.label_field=y"], "data.label_field is a setting of data.source=listing, npz, tfds"),
    ],
)
def test_a_setting_of_another_source_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        override(RunConfig(), settings)

    assert message in str(refusal.value)


@pytest.mark.parametrize(("key", "value"), OF_ALL_SOURCES.items())
def test_what_says_nothing_of_another_source_is_accepted(key: str, value: Any) -> None:
    own = {"source": "folder", "path": ["photos"]}

    config = RunConfig.model_validate({"data": {key: value, **own}})

    assert config.data == DataConfig(source=FolderSettings(path=("photos",)))


@pytest.mark.parametrize("recipe", ["quickstart", "folder_simclr", "cifar10_hour", "dsprites_best"])
def test_a_file_that_holds_the_settings_of_all_sources_still_opens(
    recipe: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(old_values(recipe)))

    assert load_yaml(path) == load_recipe(recipe)


# What a recipe had set for its own source stayed when another was chosen.
LEFT_OVER = {"tfds_name": "cifar10"}


@pytest.mark.parametrize("left_over", [{}, LEFT_OVER])
def test_a_run_that_recorded_the_settings_of_all_sources_is_the_same_run(
    left_over: dict[str, Any], tmp_path: Path
) -> None:
    values = old_values("folder_simclr")
    values["data"] |= left_over
    record = {"steps": {"pretrain": {"status": "done"}}, "configuration": values}
    (tmp_path / "run.json").write_text(json.dumps(record))

    run = RunDirectory(tmp_path, load_recipe("folder_simclr"), {})

    assert run.config == load_recipe("folder_simclr")


def test_the_label_is_called_as_the_source_calls_it() -> None:
    assert DspritesSettings().label_name == "shape"
    assert DspritesSettings(label_latent="scale").label_name == "scale"
    assert NpzSettings(path=("a.npz",), label_latent="size").label_name == "size"
    assert FolderSettings(path=("photos",)).label_name == "class"


def test_what_earlier_versions_recorded_of_formats_is_no_setting_of_arrays() -> None:
    of_arrays = DataConfig.model_validate({"source": "dsprites", "other_formats": "reject"})
    of_files = DataConfig.model_validate(
        {"source": "folder", "path": ["photos"], "other_formats": "reject"}
    )
    assert of_arrays == DataConfig()
    assert of_files.other_formats == "reject"
