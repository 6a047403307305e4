"""What a preparation computes, recomputed by other means: Pillow, NumPy, the bytes on disk."""

import hashlib
import io
import json
import struct
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources import build_source
from twofold.components.data.store.tf_example import Example


@pytest.fixture(scope="module")
def folder(tmp_path_factory, containers):
    """Sixty colour images in three classes and several shards."""
    directory = tmp_path_factory.mktemp("recomputed") / "set"
    settings = PrepareSettings(images_per_shard=20, test_share=0.3)
    source = build_source("folder", path=containers["directory"])
    prepare(source, directory, name="folder", settings=settings)
    return directory


@pytest.fixture(params=["folder", "prepared"])
def dataset(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def manifest(dataset):
    return json.loads((dataset / "manifest.json").read_text())


@pytest.fixture
def rows(dataset, manifest):
    """Each row of the table with its image as stored and its pixels, int64 [H, W, C]."""
    found = pq.read_table(dataset / "images.parquet").to_pylist()
    for row in found:
        shard = manifest["splits"][row["split"]]["shards"][row["shard"]]
        content = (dataset / shard["file"]).read_bytes()[row["offset"] :][: row["length"]]
        # A length of eight bytes and its checksum of four before the data, and one behind them.
        (length,) = struct.unpack("<Q", content[:8])
        assert length == row["length"] - 16
        features = Example.FromString(content[12:-4]).features.feature
        row["record"] = {
            "key": features["key"].bytes_list.value[0].decode(),
            "label": features["label"].int64_list.value[0],
            "latents": list(features["latents"].float_list.value),
        }
        row["image"] = features["image"].bytes_list.value[0]
        pixels = np.asarray(Image.open(io.BytesIO(row["image"])), np.int64)
        row["pixels"] = pixels.reshape(*pixels.shape[:2], -1)
    return found


def test_a_row_says_what_is_in_its_record(rows):
    for row in rows:
        assert row["record"] == {name: row[name] for name in ("key", "label", "latents")}
        assert row["stored_sha256"] == hashlib.sha256(row["image"]).digest()
        assert row["stored_bytes"] == len(row["image"])
        assert (row["height"], row["width"], row["channels"]) == row["pixels"].shape
        assert row["sums"] == row["pixels"].sum((0, 1)).tolist()
        assert row["squares"] == (row["pixels"] ** 2).sum((0, 1)).tolist()


def test_records_are_in_the_order_of_a_hash_of_their_keys_and_side_by_side(rows, manifest):
    for split, record in manifest["splits"].items():
        keys = [row["key"] for row in rows if row["split"] == split]
        hashes = [hashlib.sha256(f"order:{key}".encode()).digest() for key in keys]
        assert hashes == sorted(hashes)
        assert len(set(keys)) == record["images"]
        for number, shard in enumerate(record["shards"]):
            own = [row for row in rows if (row["split"], row["shard"]) == (split, number)]
            ends = np.cumsum([0, *(row["length"] for row in own)]).tolist()
            assert [row["offset"] for row in own] == ends[:-1]
            assert (len(own), ends[-1]) == (shard["images"], shard["bytes"])


def test_the_manifest_counts_what_is_there(rows, manifest):
    assert manifest["counts"]["written"] == len(rows)
    sizes = Counter("{}x{}".format(*row["pixels"].shape) for row in rows)
    assert manifest["image_sizes"] == sizes
    assert manifest["formats"] == Counter(row["format"] for row in rows)
    for split, record in manifest["splits"].items():
        labels = Counter(row["label"] for row in rows if row["split"] == split)
        named = {name: labels[label] for label, name in enumerate(manifest["class_names"])}
        assert record["labels"] == named
        assert record["unlabelled"] == labels[-1]


def test_the_statistics_are_those_of_all_training_pixels(rows, manifest):
    training = [row["pixels"].reshape(-1, manifest["channels"]) for row in rows]
    training = [one for one, row in zip(training, rows, strict=True) if row["split"] == "train"]
    values = np.concatenate(training) / 255
    assert manifest["statistics"]["splits"] == ["train"]
    np.testing.assert_allclose(manifest["statistics"]["mean"], values.mean(0), rtol=1e-9)
    np.testing.assert_allclose(manifest["statistics"]["std"], values.std(0), rtol=1e-9)
