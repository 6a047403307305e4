"""The prepared images as the encoder sees them: one size, one rule for all steps."""

from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.conftest import save_images
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.reading.split import Split
from twofold.components.data.sources import build_source
from twofold.components.errors import DataError
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.training import prepared_images as images


def _prepared(folder: Path, base: Path, *settings: str) -> Context:
    """A run whose preparation is done."""
    config = override(RunConfig(), ["data.source=folder", f"data.path=['{folder}']", *settings])
    run = RunDirectory(base / "run", config, {})
    with run.record("prepare", "f") as entry:
        prepare(build_source("folder", path=folder), base / "datasets" / "pets", name="pets")
        entry["details"] = {"dataset": "pets", "dataset_fingerprint": "f"}
    return Context(config, run, str(base / "datasets"), (), no_progress, print)


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


def _chosen(folder: Path, base: Path, *settings: str) -> dict[str, Split]:
    """The training images that the settings choose, and the held-out ones."""
    context = _prepared(folder, base, *settings)
    manifest = context.manifest()
    return {
        "training": images.load_training_images(context, manifest).together,
        "test": images.load(context, manifest, "test"),
    }


def test_rules_choose_training_images_and_leave_the_held_out_ones(
    two_classes: Path, tmp_path: Path
) -> None:
    every = _chosen(two_classes, tmp_path / "every")
    dogs = _chosen(two_classes, tmp_path / "dogs", "data.training_rules=[{label: [1, 1]}]")

    assert set(dogs["training"].labels.tolist()) == {1}
    wanted = every["training"].labels == 1
    assert dogs["training"].keys.tolist() == every["training"].keys[wanted].tolist()
    np.testing.assert_array_equal(dogs["training"].images[:], every["training"].images[wanted])
    assert dogs["test"].keys.tolist() == every["test"].keys.tolist()
    assert set(dogs["test"].labels.tolist()) == {0, 1}


@pytest.mark.parametrize("cache", ["memory", "disk", "off"])
def test_a_number_of_training_images_is_chosen_by_key(
    two_classes: Path, tmp_path: Path, cache: str
) -> None:
    every = _chosen(two_classes, tmp_path / "every")["training"]
    pixels = dict(zip(every.keys.tolist(), every.images, strict=True))
    settings = ("data.training_images=9", f"data.cache={cache}")
    few = _chosen(two_classes, tmp_path / "few", *settings)
    other = _chosen(two_classes, tmp_path / "other", *settings, "data.training_seed=1")

    found = few["training"]
    assert len(found.images) == len(found.keys) == 9
    np.testing.assert_array_equal(found.images[:], [pixels[key] for key in found.keys.tolist()])
    assert set(found.keys.tolist()) != set(other["training"].keys.tolist())
    assert len(few["test"].keys) == 40 - len(every.keys)


def test_a_number_is_taken_of_the_images_that_meet_a_rule(
    two_classes: Path, tmp_path: Path
) -> None:
    settings = ("data.training_rules=[{label: [0, 0]}]", "data.training_images=3")
    assert _chosen(two_classes, tmp_path, *settings)["training"].labels.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "data.training_rules=[{label: [7, 9]}]",
            "none of the training images meets one of data.training_rules",
        ),
        ("data.training_rules=[{posX: [0, 1]}]", "has no latent 'posX': expected one of label"),
        ("data.training_images=4", r"needs one split to choose from, found train, unlabelled"),
    ],
)
def test_what_cannot_be_chosen_is_refused(tmp_path: Path, setting: str, message: str) -> None:
    for name, count in (("train/cat", 3), ("train/dog", 4), ("unlabelled", 5), ("test/cat", 2)):
        save_images(tmp_path / "images" / name, count)
    with pytest.raises(DataError, match=message):
        _chosen(tmp_path / "images", tmp_path, setting)


STOPPING = "training.early_stopping={patience: 3, metric: accuracy}"


def test_where_validation_images_are_reported_a_tenth_of_each_class_decides(
    tmp_path: Path,
) -> None:
    """They are the same images for every step, and are not trained on."""
    for name, count in (("train/cat", 25), ("train/dog", 9), ("val/cat", 3), ("val/dog", 3)):
        save_images(tmp_path / "images" / name, count)
    every = _prepared(tmp_path / "images", tmp_path / "every")
    whole = images.load_training_images(every, every.manifest())
    assert whole.deciding is None
    context = _prepared(tmp_path / "images", tmp_path / "ruled", STOPPING)
    training = images.load_training_images(context, context.manifest())

    deciding = training.deciding
    assert deciding is not None
    assert sorted(deciding.labels.tolist()) == [0, 0, 1]
    keys = [split.keys.tolist() for split in (deciding, training.labelled)]
    assert sorted(keys[0] + keys[1]) == sorted(whole.labelled.keys.tolist())
    assert all(key.startswith("train/") for key in keys[0])
    again = images.load_training_splits(context, context.manifest())["train"]
    assert again.keys.tolist() == keys[1]


def test_where_test_images_are_reported_the_validation_split_decides(tmp_path: Path) -> None:
    for name, count in (("train/cat", 9), ("train/dog", 9), ("val/cat", 3), ("test/cat", 3)):
        save_images(tmp_path / "images" / name, count)
    context = _prepared(tmp_path / "images", tmp_path, STOPPING)
    training = images.load_training_images(context, context.manifest())
    assert training.deciding is None
    assert len(training.labelled.keys) == 18


def test_a_teachers_rules_need_deciding_images_too(tmp_path: Path) -> None:
    for name, count in (("train/cat", 9), ("train/dog", 9), ("val/cat", 3)):
        save_images(tmp_path / "images" / name, count)
    rules = ("method.name=self_training", "method.teacher.training.plateau={patience: 2}")
    context = _prepared(tmp_path / "images", tmp_path, *rules)
    assert images.load_training_images(context, context.manifest()).deciding is not None


def test_of_single_images_none_can_decide(tmp_path: Path) -> None:
    for name in ("train/cat", "train/dog", "val/cat", "val/dog"):
        save_images(tmp_path / "images" / name, 1)
    context = _prepared(tmp_path / "images", tmp_path, STOPPING)
    with pytest.raises(DataError, match="of no class has it two training images"):
        images.load_training_images(context, context.manifest())
