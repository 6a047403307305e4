"""What training is fed, wherever the decoded images are kept and however rows are drawn."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.pipeline.conftest import Outcome, save_images, short_run
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.reading import decoded_cache as cache
from twofold.components.data.reading.joined_splits import is_encoded
from twofold.components.data.reading.reader import read_encoded
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources import build_source
from twofold.components.errors import DataError
from twofold.components.transforms.decode import decode_images
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.config.data_source import preparation_settings
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.training import prepared_images as images
from twofold.pipeline.training.input_pipeline import InputPipeline

COUNTS = {"train/cat": 12, "train/dog": 4, "unlabelled": 9, "test/cat": 3, "test/dog": 2}
CACHES = ("memory", "disk", "off")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of several sizes, of which some have no label."""
    base = tmp_path_factory.mktemp("fed") / "images"
    for number, (name, count) in enumerate(COUNTS.items()):
        save_images(base / name, count, size=16 + 4 * (number % 2))
    return base


@pytest.fixture(scope="module")
def context_of(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Context]:
    """Gives a run whose preparation is done."""

    def build(*settings: str, progress: Any = no_progress, folder: Path = folder) -> Context:
        chosen = ("data.source=folder", "data.image_size=12", f"data.path=['{folder}']", *settings)
        config = override(RunConfig(), ("training.batch_size=8", *chosen))
        base = tmp_path_factory.mktemp("run")
        run = RunDirectory(base / "run", config, {})
        with run.record("prepare", "f") as entry:
            settings_of: PrepareSettings = preparation_settings(config.data)
            prepare(
                build_source("folder", path=folder),
                base / "pets",
                name="pets",
                settings=settings_of,
            )
            entry["details"] = {"dataset": "pets", "dataset_fingerprint": "f"}
        return Context(config, run, str(base), (), progress, print)

    return build


def batches_of(context: Context) -> InputPipeline:
    return InputPipeline(context.config, images.load_training_images(context, context.manifest()))


def fed(context: Context, steps: int = 4) -> list[dict[str, np.ndarray]]:
    elements = batches_of(context).distribute(tf.distribute.get_strategy(), 0, steps)
    return [{name: value.numpy() for name, value in element.items()} for element in elements]


def assert_same(found: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert set(one) == set(other) == {"image", "label", "key_hash"}
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("training.labelled_batch_size=2", "data.label_share=0.5"),
        ("data.sampling=balanced", "data.stored_as=raw"),
    ],
    ids=["one stream", "two streams", "balanced, of stored pixels"],
)
def test_training_is_fed_the_same_wherever_the_images_are(
    settings: tuple[str, ...], context_of: Callable[..., Context]
) -> None:
    one, *others = [fed(context_of(f"data.cache={name}", *settings)) for name in CACHES]
    for other in others:
        assert_same(other, one)


@pytest.mark.parametrize("name", ["train", "test", "unlabelled"])
@pytest.mark.parametrize("settings", [(), ("data.stored_as=raw",), ("data.stored_as=png",)])
def test_training_sees_the_pixels_that_serving_makes_of_the_files(
    name: str, settings: tuple[str, ...], context_of: Callable[..., Context]
) -> None:
    context = context_of("data.cache=off", *settings)
    manifest = context.manifest()
    split = images.load(context, manifest, name)
    files = read_encoded(context.dataset_directory, name, len(split.images))
    served = decode_images(tf.constant(files), images.decode_rule(context, manifest))
    np.testing.assert_array_equal(split.images[:], served.numpy())


def test_images_that_have_their_size_already_are_those_of_serving_too(
    two_classes: Path, context_of: Callable[..., Context]
) -> None:
    context = context_of("data.image_size=null", folder=two_classes)
    manifest = context.manifest()
    split = images.load(context, manifest, "train")
    files = read_encoded(context.dataset_directory, "train", len(split.images))
    served = decode_images(tf.constant(files), images.decode_rule(context, manifest))
    np.testing.assert_array_equal(split.images, served.numpy())


def test_images_that_are_read_whenever_they_are_needed_are_nowhere_decoded(
    context_of: Callable[..., Context],
) -> None:
    context = context_of("data.cache=off")
    training = images.load_training_images(context, context.manifest())
    assert is_encoded(training.labelled)
    assert is_encoded(training.together)
    assert not (Path(context.dataset_directory) / "decoded").exists()


def test_where_one_part_alone_has_room_both_are_read_alike(
    context_of: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of()
    # Room for the unlabelled images, not for the labelled.
    monkeypatch.setattr(cache, "_kept", {})
    monkeypatch.setattr(cache, "_in_use", {})
    monkeypatch.setattr(cache, "memory_bytes", lambda: 10 * 9 * 12 * 12 * 3)
    monkeypatch.setattr(cache, "free_bytes", lambda target: 0)
    training = images.load_training_images(context, context.manifest())
    assert is_encoded(training.labelled)
    assert is_encoded(training.unlabelled)


def test_balanced_training_draws_labelled_images_alone_class_by_class(
    context_of: Callable[..., Context],
) -> None:
    context = context_of("data.sampling=balanced")
    batches = batches_of(context)
    assert batches.steps_per_epoch() == (12 + 4) // 8
    labels = np.concatenate([element["label"] for element in fed(context, steps=100)])
    counts = np.bincount(labels, minlength=2)
    assert labels.min() == 0
    # Five standard deviations of 800 fair draws.
    assert abs(counts[0] - counts[1]) < 2 * 5 * np.sqrt(800 / 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("data.sampling=weighted",), "sampling=weighted .* 'train and unlabelled' has none"),
        (("data.sampling=weighted", "training.labelled_batch_size=2"), "split 'train' has none"),
        (
            ("data.sampling=balanced", "training.batch_size=18"),
            "batch_size=18 is larger than the 16 training images with a label",
        ),
    ],
)
def test_a_sampling_that_the_images_do_not_allow_is_refused(
    settings: tuple[str, ...], message: str, context_of: Callable[..., Context]
) -> None:
    with pytest.raises(DataError, match=message):
        batches_of(context_of(*settings)).check(1)


def test_a_bar_is_shown_where_images_are_decoded_and_not_where_they_are_there(
    context_of: Callable[..., Context],
) -> None:
    shown: list[tuple[str, int, list[int]]] = []

    @contextlib.contextmanager
    def progress(description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        done: list[int] = []
        shown.append((f"{description} {unit}", total, done))
        yield done.append

    context = context_of("data.cache=disk", progress=progress)
    images.load(context, context.manifest(), "train")
    assert shown == [("decode images", 16, [16])]
    images.load(context, context.manifest(), "train")
    assert len(shown) == 1


def test_a_record_that_is_damaged_while_training_goes_on_is_named(
    context_of: Callable[..., Context],
) -> None:
    context = context_of("data.cache=off")
    batches = batches_of(context)
    (shard,) = Path(context.dataset_directory).glob("unlabelled-*")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"unlabelled-\S+ is damaged: the record of image 'unlab"):
        list(batches.distribute(tf.distribute.get_strategy(), 0, 4))


@pytest.mark.usefixtures("proved_here")
def test_a_run_measures_the_same_with_and_without_a_cache(
    folder: Path,
    tmp_path: Path,
    twofold: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for name, cached, until in (("kept", "memory", "evaluate"), ("streamed", "off", "export")):
        settings = ("data.image_size=12", f"data.cache={cached}", f"name={name}")
        arguments = short_run(folder, tmp_path, *settings)
        outcome = twofold(*arguments, f"--until={until}")
        assert outcome.status == 0, outcome.error
        assert outcome.error == ""
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        # These are about the run and not about the model.
        about = ("export/", "pretrain/images_per_second")
        found.append({key: value for key, value in metrics.items() if not key.startswith(about)})
    assert found[0] == found[1]


def test_a_last_smaller_batch_is_trained_on_where_it_is_kept(
    context_of: Callable[..., Context],
) -> None:
    # Of 25 images.
    context = context_of("training.last_batch=keep", "training.batch_size=10")
    batches = batches_of(context)
    batches.check(1)
    assert batches.steps_per_epoch() == 3
    assert [len(element["label"]) for element in fed(context, steps=3)] == [10, 10, 5]
    # Statistics that are means over batches are taken of whole ones.
    assert [len(images) for images, _ in batches.one_epoch()] == [10, 10]
    whole = batches_of(context_of("training.last_batch=keep", "training.batch_size=60"))
    assert [len(images) for images, _ in whole.one_epoch()] == [25]


@pytest.mark.parametrize(
    ("settings", "replicas", "message"),
    [
        (("training.batch_size=10",), 2, "leaves 5 of 25 training images, which must divide among"),
        (("training.batch_size=8",), 1, "last_batch=keep with training.batch_size=8 leaves 1 im"),
    ],
)
def test_a_last_batch_that_is_too_small_is_refused(
    settings: tuple[str, ...], replicas: int, message: str, context_of: Callable[..., Context]
) -> None:
    with pytest.raises(DataError, match=message):
        batches_of(context_of("training.last_batch=keep", *settings)).check(replicas)
