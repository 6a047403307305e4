import json
import shutil

import google_crc32c
import pytest

from twofold.components.data.store.manifest import (
    MANIFEST_FILE,
    describe_file,
    load_manifest,
    parse_manifest,
)
from twofold.components.errors import DataError


@pytest.fixture
def dataset(tmp_path, prepared):
    return shutil.copytree(prepared, tmp_path / "dataset")


def edit(dataset, **changes):
    path = dataset / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_writing_and_loading_gives_the_same(dataset):
    manifest = load_manifest(dataset)
    before = (dataset / MANIFEST_FILE).read_bytes()
    manifest.write(dataset)
    assert (dataset / MANIFEST_FILE).read_bytes() == before
    assert load_manifest(dataset) == manifest


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no such dataset folder: .*nowhere"):
        load_manifest(tmp_path / "nowhere")


def test_a_folder_without_a_manifest_is_no_dataset(tmp_path):
    with pytest.raises(DataError, match=r"is no prepared dataset: it has no manifest\.json"):
        load_manifest(tmp_path)


@pytest.mark.parametrize("content", ["", '{"format_version": 1', "\x00\xff"])
def test_a_damaged_manifest_is_named(dataset, content):
    (dataset / MANIFEST_FILE).write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        load_manifest(dataset)


@pytest.mark.parametrize("content", ["[]", '"text"', "{}"])
def test_json_that_is_no_manifest_is_refused(dataset, content):
    (dataset / MANIFEST_FILE).write_text(content)
    with pytest.raises(DataError, match="expected format version 2, received None"):
        load_manifest(dataset)


def test_another_format_version_is_refused(dataset):
    edit(dataset, format_version=99)
    with pytest.raises(DataError, match="expected format version 2, received 99"):
        load_manifest(dataset)


@pytest.mark.parametrize(
    ("changes", "field"), [({"channels": 2}, "channels"), ({"extra": 1}, "extra")]
)
def test_a_wrong_field_is_named(dataset, changes, field):
    edit(dataset, **changes)
    with pytest.raises(DataError, match=f"damaged: field {field}"):
        load_manifest(dataset)


def test_a_missing_shard_is_named(dataset):
    shard = next(dataset.glob("train-00000-*"))
    shard.unlink()
    with pytest.raises(DataError, match=f"{shard.name}: .*is missing"):
        load_manifest(dataset)


def test_a_shard_of_another_size_is_named(dataset):
    shard = next(dataset.glob("test-00000-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{shard.name}: expected \d+ bytes .*found \d+"):
        load_manifest(dataset)


@pytest.mark.parametrize(
    "changes", [{"name": "other"}, {"counts": None}, {"fingerprint": "0" * 64}]
)
def test_an_edited_manifest_is_told_by_its_checksum(dataset, changes):
    content = json.loads((dataset / MANIFEST_FILE).read_text())
    if changes.get("counts", 0) is None:
        changes = {"counts": {**content["counts"], "written": 499}}
    edit(dataset, **changes)
    with pytest.raises(DataError, match="is damaged or was edited: its checksum is"):
        load_manifest(dataset)


@pytest.mark.parametrize("pattern", ["train-00000-*", "images.parquet", "dataset_report.html"])
@pytest.mark.parametrize("share", [0.0, 0.37, 1.0])
def test_a_flipped_byte_is_found_on_opening(dataset, pattern, share):
    path = next(dataset.glob(pattern))
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path.name} is damaged after byte 0"):
        load_manifest(dataset)


def test_of_a_large_dataset_blocks_all_over_it_are_checked(dataset, monkeypatch):
    monkeypatch.setattr("twofold.components.data.store.manifest._BLOCK", 1 << 10)
    path = max(dataset.glob("*.tfrecord"), key=lambda each: each.stat().st_size)
    manifest = parse_manifest(dataset / MANIFEST_FILE)
    described = {file.file: describe_file(dataset, file.file) for file in manifest.every_file}
    assert len(described[path.name].blocks) == -(-path.stat().st_size // 1024)
    content = path.read_bytes()
    for block, crc in enumerate(described[path.name].blocks):
        assert crc == google_crc32c.value(content[1024 * block : 1024 * (block + 1)])
