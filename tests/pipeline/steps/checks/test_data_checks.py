"""What no encoder could be measured on is refused before one is trained."""

from collections.abc import Mapping

import numpy as np
import pytest

from tests.components.data.handmade import NO_DUPLICATES
from twofold.components.data.store.manifest import (
    FORMAT_VERSION,
    IMAGES_FILE,
    Counts,
    File,
    Manifest,
    PixelStatistics,
    SourceRecord,
    SplitRecord,
)
from twofold.components.errors import DataError, SettingsError, UnfitSettingsError
from twofold.pipeline.config import EvaluationConfig, RunConfig, override
from twofold.pipeline.steps.checks.data_checks import (
    check_kept_labels,
    check_measurable,
    check_trainable,
    held_out_split,
)


def manifest(splits: Mapping[str, Mapping[str, int]]) -> Manifest:
    """A data set with these splits, given by the images of each class; "" is no class."""
    records = {
        name: SplitRecord(
            images=sum(classes.values()),
            labels={one: count for one, count in classes.items() if one},
            unlabelled=classes.get("", 0),
            shards=(),
        )
        for name, classes in splits.items()
    }
    return Manifest(
        format_version=FORMAT_VERSION,
        name="pets",
        fingerprint="f",
        source=SourceRecord(kind="folder", fingerprint="f", ignored=0),
        settings={"test_share": 0.2},
        class_names=tuple(sorted({one for classes in splits.values() for one in classes if one})),
        latent_names=(),
        channels=3,
        raw=False,
        weighted=False,
        image_sizes={"16x16": 1},
        formats={"JPEG": 1},
        splits=records,
        statistics=PixelStatistics(splits=("train",), mean=(0.5,) * 3, std=(0.1,) * 3),
        counts=Counts(read=1, written=1, rejected=0, duplicates=0, reasons={}, repairs={}),
        duplicates=NO_DUPLICATES,
        images=File(file=IMAGES_FILE, bytes=0, sha256="", blocks=()),
        files=(),
    )


BOTH = {"cat": 5, "dog": 5}


@pytest.mark.parametrize(
    "splits",
    [
        {"train": BOTH, "test": BOTH},
        {"train": BOTH, "unlabelled": {"": 9}, "validation": {"cat": 1}},
        {"train": {"cat": 5}, "test": {"cat": 2}},
        {"train": {"": 5}, "test": {"": 2}},
        {"unlabelled": {"": 5}, "test": {"": 2}},
    ],
)
def test_measurable_data_are_accepted(splits: dict[str, dict[str, int]]) -> None:
    check_measurable(RunConfig(), manifest(splits))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": BOTH, "unlabelled": {"": 9}}, "expected a split test or validation, found"),
        ({"train": BOTH}, "data.test_share=0.2 holds out"),
        ({"train": {"cat": 5}, "test": BOTH}, "images of at least two, found cat"),
        ({"train": {"": 5}, "test": BOTH}, "images of at least two, found none"),
        ({"unlabelled": {"": 5}, "test": BOTH}, "images of at least two, found none"),
        ({"train": BOTH, "test": {"": 3}}, "expected labels in the held-out split test"),
    ],
)
def test_data_that_give_no_measure_are_refused(
    splits: dict[str, dict[str, int]], message: str
) -> None:
    with pytest.raises(DataError, match="pets has ") as refusal:
        check_measurable(RunConfig(), manifest(splits))
    assert message in str(refusal.value)


def test_test_images_are_held_out_before_validation_images() -> None:
    assert held_out_split(manifest({"train": BOTH, "validation": BOTH, "test": BOTH})) == "test"
    assert held_out_split(manifest({"train": BOTH, "validation": BOTH})) == "validation"


@pytest.mark.parametrize("key", ["label_fractions=[0.5]", "baselines=[pixels]"])
def test_measures_of_classes_are_refused_where_there_are_none(key: str) -> None:
    config = override(RunConfig(), [f"evaluation.{key}"])
    with pytest.raises(UnfitSettingsError, match=r"needs images of at least two classes, and pets"):
        check_measurable(config, manifest({"train": {"": 5}, "test": {"": 2}}))
    check_measurable(config, manifest({"train": BOTH, "test": BOTH}))


def test_images_of_one_size_are_held_against_the_encoder_before_training() -> None:
    # The manifest's are 16x16.
    with pytest.raises(
        SettingsError, match=r"conv4 needs images of at least 31x31, received 16x16"
    ):
        check_trainable(override(RunConfig(), ["encoder.name=conv4"]), manifest({"train": BOTH}))


@pytest.mark.parametrize(
    ("settings", "labels", "message"),
    [
        ([], [1, 1, -1], r"leave labels of dog among .* at least two of cat, dog"),
        ([], [-1, -1], r"leave labels of no class among"),
        (["neighbours=4"], [0, 1, 1, -1], r"neighbours=4: expected at most 3"),
        (["neighbour_sweep=[2, 4]"], [0, 1, 1], r"neighbour_sweep=\[2, 4\]: expected at most 3"),
    ],
)
def test_labels_that_settings_leave_too_few_of_are_refused(
    settings: list[str], labels: list[int], message: str
) -> None:
    config = override(RunConfig(), [f"evaluation.{one}" for one in settings])
    with pytest.raises(UnfitSettingsError, match=message):
        check_kept_labels(config.evaluation, np.array(labels), ("cat", "dog"))


def test_neighbours_by_default_are_as_many_as_there_are() -> None:
    check_kept_labels(EvaluationConfig(), np.array([0, 1]), ("cat", "dog"))
