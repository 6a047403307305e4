"""A prepared split as arrays, wherever its images are kept."""

import io
import shutil

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.components.data.handmade import entry, picture, write_dataset
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.reading.encoded_images import EncodedImages
from twofold.components.data.reading.reader import load_split, read_encoded
from twofold.components.data.reading.split import hash_of_key
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources import build_source
from twofold.components.data.store.image_table import read_split_index
from twofold.components.data.store.manifest import load_manifest
from twofold.components.errors import DataError

MODES = ("memory", "disk", "off")


def decode(content):
    return tf.io.decode_jpeg(content, channels=1, dct_method="INTEGER_ACCURATE")


def decode_colour(content):
    return tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")


def never_decode(content):
    raise AssertionError("decoded again")


def load(directory, split="train", **changes):
    arguments = {"decode": decode, "size": (64, 64), "channels": 1, **changes}
    return load_split(directory, split, **arguments)


def load_small(directory, split="train", **changes):
    """As `load`, of what `write_dataset` makes."""
    return load(directory, split, decode=decode_colour, size=(6, 5), channels=3, **changes)


@pytest.mark.parametrize("mode", MODES)
def test_a_split_is_what_was_prepared(tmp_path, prepared, mode):
    source = build_source("dsprites", images=500)
    items = {item.key: item for task in source.tasks(200) for item in source.read(task)}
    for name, record in load_manifest(prepared).splits.items():
        split = load(prepared, name, cache=mode, cache_dir=tmp_path)
        assert split.name == name
        assert split.class_names == ("square", "ellipse", "heart")
        assert split.latent_names[0] == "shape"
        assert len(split.images) == len(split.labels) == len(split.keys) == record.images
        assert split.images.shape == (record.images, 64, 64, 1)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int32
        assert split.latents.dtype == np.float32
        assert split.weights is None
        pixels = split.images[:]
        for i, key in enumerate(split.keys):
            np.testing.assert_array_equal(pixels[i], items[key].image)
            assert split.labels[i] == items[key].label
            np.testing.assert_allclose(split.latents[i], items[key].latents, rtol=1e-6)


def test_the_cache_on_disk_is_the_same_and_decoded_once(tmp_path, prepared):
    plain = load(prepared, cache="memory")
    arguments = {"cache_dir": tmp_path / "cache", "cache_key": "rule"}
    first = load(prepared, cache="disk", **arguments)
    assert isinstance(first.images, np.memmap)
    again = load(prepared, decode=never_decode, cache="disk", **arguments)
    found = load(prepared, decode=never_decode, **arguments)
    for split in (first, again, found):
        for field in ("images", "labels", "keys", "latents"):
            np.testing.assert_array_equal(getattr(split, field), getattr(plain, field))
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_decoded_images_lie_in_the_folder_of_the_dataset(tmp_path, prepared):
    directory = shutil.copytree(prepared, tmp_path / "set")
    load(directory, cache="disk")
    (cached,) = (directory / "decoded").iterdir()
    assert cached.name.startswith("train-")
    load_manifest(directory)


def test_memory_is_decoded_once_in_a_process_where_the_rule_has_a_name(prepared):
    first = load(prepared, cache="memory", cache_key="once")
    again = load(prepared, decode=never_decode, cache="memory", cache_key="once")
    assert again.images is first.images
    assert not first.images.flags.writeable
    other = load(prepared, "test", cache="memory", cache_key="once")
    assert other.images is not first.images
    inverted = load(prepared, decode=lambda x: 255 - decode(x), cache="memory")
    np.testing.assert_array_equal(inverted.images, 255 - first.images)


def test_another_rule_is_another_cache(tmp_path, prepared):
    arguments = {"cache": "disk", "cache_dir": tmp_path}
    plain = load(prepared, cache_key="plain", **arguments)
    inverted = load(prepared, decode=lambda x: 255 - decode(x), cache_key="inv", **arguments)
    np.testing.assert_array_equal(inverted.images, 255 - plain.images)


def test_progress_counts_what_is_decoded(tmp_path, prepared):
    total = load_manifest(prepared).splits["train"].images
    for mode in ("memory", "disk"):
        seen: list[int] = []
        load(prepared, cache=mode, cache_dir=tmp_path, progress=seen.append)
        assert seen == [256, total]
    seen = []
    load(prepared, cache="disk", cache_dir=tmp_path, progress=seen.append)
    load(prepared, cache="off", progress=seen.append)
    assert seen == []


def test_an_unknown_split_lists_the_known_ones(prepared):
    with pytest.raises(DataError, match=r"has no split 'validation'; it has test, train"):
        load(prepared, "validation")


def test_an_unknown_cache_lists_the_known_ones(prepared):
    with pytest.raises(DataError, match="one of auto, memory, disk, off, received 'ram'"):
        load(prepared, cache="ram")


@pytest.mark.parametrize("mode", ["memory", "disk"])
def test_an_image_of_another_size_is_named(tmp_path, write_files, image_bytes, mode):
    files = {f"{i}.jpg": image_bytes(i, size=(8, 8)) for i in range(5)}
    files["odd.jpg"] = image_bytes(9, size=(8, 12))
    source = build_source("folder", path=write_files(tmp_path / "images", files))
    prepare(source, tmp_path / "set", name="x", settings=PrepareSettings(test_share=0))
    message = r"train-.*image 'odd\.jpg' is decoded to 8x12 with 1 channels; expected 8x8 with 1"
    with pytest.raises(DataError, match=message):
        load(tmp_path / "set", size=(8, 8), cache=mode, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists() or list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("mode", MODES)
def test_wrong_channels_are_named(tmp_path, prepared, mode):
    with pytest.raises(DataError, match=r"64x64 with 1 channels; expected 64x64 with 3"):
        load(prepared, channels=3, cache=mode, cache_dir=tmp_path)


def test_encoded_images_are_the_first_rows(prepared):
    split = load(prepared, "test")
    for count, expected in ((7, 7), (10_000, len(split.images))):
        encoded = read_encoded(prepared, "test", count)
        assert len(encoded) == expected
        decoded = np.stack([decode(image) for image in encoded])
        np.testing.assert_array_equal(decoded, split.images[:count])
    with pytest.raises(DataError, match="it has test, train"):
        read_encoded(prepared, "validation", 1)


@pytest.mark.parametrize("raw", [False, True])
def test_weights_and_latents_come_from_the_table(tmp_path, raw):
    images = [entry(f"{n}", label=n % 2, latents=(n, n / 8), weight=n + 0.5) for n in range(9)]
    names = {"latent_names": ("a", "b"), "weighted": True}
    write_dataset(tmp_path / "set", images, raw=raw, **names)
    split = load_small(tmp_path / "set", cache="off")
    for i, key in enumerate(split.keys):
        assert split.weights[i] == int(key) + 0.5
        assert split.latents[i].tolist() == [int(key), int(key) / 8]
        assert split.labels[i] == int(key) % 2
    assert split.weights.dtype == np.float32


@pytest.mark.parametrize("mode", MODES)
def test_stored_pixels_of_one_size_are_taken_as_they_are(tmp_path, mode):
    images = [entry(f"{n}") for n in range(9)]
    write_dataset(tmp_path / "set", images, raw=True)
    split = load_small(tmp_path / "set", cache=mode)
    expected = {image["key"]: image["pixels"] for image in images}
    np.testing.assert_array_equal(split.images[:], [expected[key] for key in split.keys])


@pytest.mark.parametrize("mode", MODES)
def test_stored_pixels_of_several_sizes_and_grey_ones_are_made_alike(tmp_path, mode):
    shapes = [(6, 5, 3), (6, 5, 1), (9, 5, 3), (6, 8, 1)]
    images = [entry(f"{n}", pixels=picture(n, *shapes[n % 4])) for n in range(12)]
    write_dataset(tmp_path / "set", images, raw=True)
    split = load_small(tmp_path / "set", cache=mode, fit=lambda pixels: pixels[:6, :5])
    for row, key in enumerate(split.keys):
        stored = images[int(key)]["pixels"][:6, :5]
        np.testing.assert_array_equal(split.images[row], np.broadcast_to(stored, (6, 5, 3)))


def test_stored_grey_pixels_of_one_size_are_given_as_colour_where_colour_is_asked_for(tmp_path):
    write_dataset(tmp_path / "set", [entry(f"{n}", pixels=picture(n, 6, 5, 1)) for n in range(4)])
    files = load_small(tmp_path / "set", cache="memory")
    images = [entry(f"{n}", pixels=picture(n, 6, 5, 1)) for n in range(4)]
    write_dataset(tmp_path / "raw", images, raw=True)
    np.testing.assert_array_equal(load_small(tmp_path / "raw").images, files.images)


@pytest.mark.parametrize(("raw", "mode"), [(True, "memory"), (True, "off"), (False, "off")])
def test_an_image_of_a_shape_that_does_not_fit_is_named(tmp_path, raw, mode):
    images = [entry("fits"), entry("wide", pixels=picture(1, 6, 7))]
    write_dataset(tmp_path / "set", images, raw=raw)
    with pytest.raises(DataError, match=r"'wide' is decoded to 6x7 with 3 .* expected 6x5"):
        load_small(tmp_path / "set", cache=mode).images[:]


@pytest.mark.parametrize("channels", [1, 3])
def test_encoded_images_of_stored_pixels_are_files_of_them(tmp_path, channels):
    images = [entry(f"{n}", pixels=picture(n, 4 + n, 5, channels)) for n in range(5)]
    write_dataset(tmp_path / "set", images, raw=True)
    manifest = load_manifest(tmp_path / "set")
    keys = read_split_index(tmp_path / "set", manifest, "train", ["key"])["key"].to_pylist()
    files = read_encoded(tmp_path / "set", "train", 3)
    assert len(files) == 3
    for key, file in zip(keys, files, strict=False):
        pixels = images[int(key)]["pixels"]
        found = np.asarray(Image.open(io.BytesIO(file)))
        np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)


@pytest.mark.parametrize("mode", ["auto", *MODES])
def test_a_dataset_in_a_bucket_reads_as_one_on_disk(tmp_path, prepared, to_bucket, mode):
    bucket = to_bucket(prepared, f"read-{mode}")
    split = load(bucket, "test", cache=mode, cache_dir=tmp_path)
    expected = load(prepared, "test")
    for rows in (slice(None), [5, 1, -1], 3):
        np.testing.assert_array_equal(split.images[rows], expected.images[rows])
    np.testing.assert_array_equal(split.keys, expected.keys)
    assert isinstance(split.images, EncodedImages) == (mode == "off")


def test_shards_of_a_bucket_are_copied_once(tmp_path, prepared, to_bucket):
    bucket = to_bucket(prepared, "copied-once")
    seen: list[int] = []
    load(bucket, "train", cache="off", cache_dir=tmp_path, progress=seen.append)
    record = load_manifest(prepared).splits["train"]
    (folder,) = tmp_path.iterdir()
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == {
        shard.file: shard.bytes for shard in record.shards
    }
    assert seen == np.cumsum([shard.images for shard in record.shards]).tolist()
    copied = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    load(bucket, "train", cache="off", cache_dir=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == copied


def test_a_bucket_without_a_folder_is_kept_in_that_of_the_user(
    tmp_path, prepared, to_bucket, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load(to_bucket(prepared, "for-user"), "test", cache="disk")
    fingerprint = load_manifest(prepared).fingerprint
    assert list((tmp_path / "twofold" / fingerprint[:16]).glob("test-*/images.npy"))


@pytest.mark.parametrize("mode", ["memory", "disk", "off"])
def test_a_damaged_record_in_a_bucket_names_shard_and_image(tmp_path, to_bucket, mode):
    write_dataset(tmp_path / "set", [entry(f"pets/{n}") for n in range(20)])
    (shard,) = (tmp_path / "set").glob("train-00001-*")
    content = bytearray(shard.read_bytes())
    content[-20] ^= 4
    shard.write_bytes(content)
    bucket = to_bucket(tmp_path / "set", f"damaged-{mode}")
    with pytest.raises(DataError, match=r"train-00001-\S+ is damaged: the record of image 'pets/"):
        load_small(bucket, cache=mode, cache_dir=tmp_path / "cache").images[:]


def test_encoded_images_of_a_damaged_shard_are_refused(tmp_path, to_bucket):
    write_dataset(tmp_path / "set", [entry(f"pets/{n}") for n in range(4)], shards=1)
    (shard,) = (tmp_path / "set").glob("train-*")
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match="is not as its checksums say"):
        read_encoded(to_bucket(tmp_path / "set", "damaged-first"), "train", 9)


def test_a_table_that_does_not_fit_the_manifest_is_refused(tmp_path, prepared, monkeypatch):
    monkeypatch.setattr(
        "twofold.components.data.reading.reader.read_split_index",
        lambda *arguments: pa.table({"key": ["a"]}),
    )
    with pytest.raises(DataError, match=r"images\.parquet: expected \d+ images of split 'train'"):
        load(prepared)


@given(st.text())
def test_identities_are_non_negative_and_of_the_key_alone(key):
    assert 0 <= hash_of_key(key) < 2**63
    assert hash_of_key(key) == hash_of_key(str(key))
