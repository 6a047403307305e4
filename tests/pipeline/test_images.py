"""The prepared images as the encoder sees them: one size, one rule for all steps."""

from pathlib import Path

import numpy as np
import pytest

from components.data.errors import DataError
from components.data.prepare import prepare
from components.data.sources.folder import FolderSource
from pipeline.artifacts import RunDirectory
from pipeline.config import RunConfig, override
from pipeline.steps import images
from pipeline.steps.context import Context, no_progress
from tests.pipeline.conftest import save_images


def _prepared(folder: Path, base: Path, *settings: str) -> Context:
    """A run whose preparation is done."""
    config = override(RunConfig(), ["data.source=folder", f"data.path=['{folder}']", *settings])
    run = RunDirectory(base / "run", config, {})
    with run.record("prepare", "f") as entry:
        prepare(FolderSource(folder), base / "datasets" / "pets", name="pets")
        entry["details"] = {"dataset": "pets", "dataset_fingerprint": "f"}
    return Context(config, run, base / "datasets", (), no_progress, print)


def test_images_of_one_size_keep_it(two_classes: Path, tmp_path: Path) -> None:
    context = _prepared(two_classes, tmp_path)
    rule = images.decode_rule(context, context.manifest())
    assert (rule.height, rule.width, rule.channels) == (16, 16, 3)
    split = images.load(context, context.manifest(), "train")
    assert split.images.shape[1:] == (16, 16, 3)
    assert split.images.dtype == np.uint8


def test_a_set_size_is_that_of_every_image(tmp_path: Path) -> None:
    save_images(tmp_path / "images", 10)
    save_images(tmp_path / "images" / "larger", 10, size=24)
    context = _prepared(tmp_path / "images", tmp_path, "data.image_size=12")
    for name in ("train", "test"):
        assert images.load(context, context.manifest(), name).images.shape[1:] == (12, 12, 3)


def test_several_sizes_need_a_choice(tmp_path: Path) -> None:
    save_images(tmp_path / "images", 10)
    save_images(tmp_path / "images" / "larger", 12, size=24)
    context = _prepared(tmp_path / "images", tmp_path)
    with pytest.raises(DataError, match=r"24x24 \(12\), 16x16 \(10\)\): set data\.image_size"):
        images.decode_rule(context, context.manifest())


def test_unlabelled_images_are_trained_on_after_the_labelled(tmp_path: Path) -> None:
    for name, count in (("train/cat", 3), ("train/dog", 4), ("unlabelled", 5), ("test/cat", 2)):
        save_images(tmp_path / "images" / name, count)
    context = _prepared(tmp_path / "images", tmp_path)
    training = images.load_training_images(context, context.manifest())
    assert (training.labelled.name, training.unlabelled.name) == ("train", "unlabelled")
    split = training.together
    assert len(split.images) == len(split.keys) == len(split.latents) == 12
    assert sorted(split.labels[:7].tolist()) == [0] * 3 + [1] * 4
    assert split.labels[7:].tolist() == [-1] * 5
    assert split.class_names == ("cat", "dog")
    assert len(set(split.keys.tolist())) == 12


def test_test_images_alone_cannot_be_trained_on(tmp_path: Path) -> None:
    save_images(tmp_path / "images" / "test" / "cat", 3)
    context = _prepared(tmp_path / "images", tmp_path)
    with pytest.raises(DataError, match="no training images: expected a split train or unlabelled"):
        images.load_training_images(context, context.manifest())


def test_images_that_lose_their_label_count_as_unlabelled(tmp_path: Path) -> None:
    for name, count in (("train/cat", 8), ("train/dog", 4), ("unlabelled", 5), ("test/cat", 2)):
        save_images(tmp_path / "images" / name, count)
    context = _prepared(tmp_path / "images", tmp_path, "data.label_share=0.25")
    training = images.load_training_images(context, context.manifest())
    assert training.labelled is training.unlabelled is training.together
    labels = training.together.labels.tolist()
    assert [labels.count(label) for label in (0, 1, -1)] == [2, 1, 14]
