import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.components.data.handmade import entries, entry, order, picture, write_dataset
from twofold.components.data.store.manifest import IMAGES_FILE, parse_manifest
from twofold.components.data.store.tfds_metadata import (
    CLASSES_FILE,
    FEATURES_FILE,
    INFO_FILE,
    tfds_files,
)


def read(directory, split="train"):
    builder = tfds.builder_from_directory(str(directory))
    return list(builder.as_dataset(split=split).as_numpy_iterator())


def written(images, split="train"):
    """The images of a split in the order of its records."""
    chosen = [image for image in images if image["split"] == split]
    return sorted(chosen, key=lambda image: order(image["key"]))


@pytest.fixture(scope="module")
def images():
    return [
        *entries(20),
        *(entry(f"more/{n}", "unlabelled") for n in range(5)),
        *(entry(f"check/{n}", "validation", 1) for n in range(3)),
    ]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, images):
    directory = tmp_path_factory.mktemp("metadata") / "dataset"
    write_dataset(directory, images, shards=3, name="My photos, 2")
    return directory


def test_tfds_knows_splits_and_their_shards(dataset):
    builder = tfds.builder_from_directory(str(dataset))
    manifest = parse_manifest(dataset / "manifest.json")

    assert builder.info.name == "My photos, 2"
    assert set(builder.info.splits) == {"train", "test", "validation", "unlabelled"}
    for name, split in manifest.splits.items():
        found = builder.info.splits[name]
        assert found.num_examples == split.images
        assert found.shard_lengths == [shard.images for shard in split.shards]
        assert found.num_bytes == sum(shard.bytes for shard in split.shards)
        assert [path.name for path in found.filepaths] == [shard.file for shard in split.shards]


def test_tfds_knows_the_features(dataset):
    features = tfds.builder_from_directory(str(dataset)).info.features

    assert set(features) == {"image", "label", "key"}
    assert isinstance(features["image"], tfds.features.Image)
    assert features["image"].shape == (None, None, 3)
    assert features["label"].names == ["cat", "dog"]


@pytest.mark.parametrize("split", ["train", "test", "validation", "unlabelled"])
def test_tfds_reads_what_was_written(dataset, images, split):
    found = read(dataset, split)
    expected = written(images, split)

    assert [each["key"].decode() for each in found] == [image["key"] for image in expected]
    assert [int(each["label"]) for each in found] == [image["label"] for image in expected]
    for each, image in zip(found, expected, strict=True):
        assert each["image"].dtype == np.uint8
        np.testing.assert_array_equal(each["image"], image["pixels"])


def test_parts_of_splits_and_pairs_of_image_and_label_can_be_had(dataset):
    builder = tfds.builder_from_directory(str(dataset))

    assert len(builder.as_dataset(split="train[:4]")) == 4
    image, label = next(iter(builder.as_dataset(split="test", as_supervised=True)))
    assert image.shape[-1] == 3
    assert label.dtype == tf.int64


def test_latents_and_weights_are_there_where_the_dataset_has_them(tmp_path):
    images = [entry(f"{n}", latents=(n / 4, -n), weight=1 + n / 8) for n in range(5)]
    write_dataset(
        tmp_path, images, latent_names=("x", "y"), weighted=True, class_names=(), shards=1
    )

    found = read(tmp_path)

    for each, image in zip(found, written(images), strict=True):
        assert set(each) == {"image", "key", "latents", "weight"}
        np.testing.assert_array_equal(each["latents"], np.float32(image["latents"]))
        assert each["weight"] == np.float32(image["weight"])


def test_greyscale_images_have_one_channel(tmp_path):
    write_dataset(tmp_path, [entry(f"{n}", pixels=picture(n, channels=1)) for n in range(3)])

    assert {each["image"].shape for each in read(tmp_path)} == {(6, 5, 1)}


def test_a_greyscale_image_among_colour_has_three_equal_channels(tmp_path):
    grey, colour = (entry(f"{n}", pixels=picture(n, channels=n)) for n in (1, 3))
    write_dataset(tmp_path, [grey, colour], shards=1)

    found = {each["key"]: each["image"] for each in read(tmp_path)}

    np.testing.assert_array_equal(found[b"1"], np.repeat(grey["pixels"], 3, axis=2))
    np.testing.assert_array_equal(found[b"3"], colour["pixels"])


def test_pixels_of_one_shape_are_images(tmp_path):
    images = [entry(f"{n}", label=n % 2) for n in range(4)]
    write_dataset(tmp_path, images, raw=True)

    found = read(tmp_path)

    for each, image in zip(found, written(images), strict=True):
        assert set(each) == {"image", "label", "key"}
        np.testing.assert_array_equal(each["image"], image["pixels"])


def test_pixels_of_several_shapes_are_bytes_and_a_shape(tmp_path):
    images = [entry(f"{n}", pixels=picture(n, 3 + n, 4, 1 + 2 * (n % 2))) for n in range(4)]
    write_dataset(tmp_path, images, raw=True, shards=1)

    for each, image in zip(read(tmp_path), written(images), strict=True):
        pixels = tf.reshape(tf.io.decode_raw(each["image"], tf.uint8), each["shape"])
        np.testing.assert_array_equal(pixels, image["pixels"])


@pytest.mark.parametrize(
    "names", [("a", ""), ("a ", "b"), ("a\nb", "c"), ("a\rb", "c"), ("a", "\t")]
)
def test_names_that_tfds_could_not_keep_are_left_out(tmp_path, names):
    write_dataset(tmp_path, [entry("0", label=1)], class_names=names, shards=1)

    builder = tfds.builder_from_directory(str(tmp_path))

    assert not (tmp_path / CLASSES_FILE).exists()
    assert builder.info.features["label"].names == ["0", "1"]


def test_names_beyond_ascii_are_kept(tmp_path):
    names = ("Käse", "猫 & <b>")
    write_dataset(tmp_path, [entry("0", label=1)], class_names=names, shards=1)

    assert tfds.builder_from_directory(str(tmp_path)).info.features["label"].names == [*names]


def test_the_files_are_json_of_the_arguments_alone(dataset):
    manifest = parse_manifest(dataset / "manifest.json")
    arguments = {
        name: getattr(manifest, name)
        for name in ("name", "class_names", "latent_names", "channels", "raw", "weighted", "splits")
    }
    texts = tfds_files(**arguments)

    assert set(texts) == {INFO_FILE, FEATURES_FILE, CLASSES_FILE}
    for file, text in texts.items():
        assert (dataset / file).read_text(encoding="utf-8") == text
    for file in (INFO_FILE, FEATURES_FILE):
        json.loads(texts[file])
    assert IMAGES_FILE not in "".join(texts.values())
