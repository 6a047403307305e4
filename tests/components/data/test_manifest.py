import json
import shutil

import pytest

from components.data.errors import DataError
from components.data.manifest import MANIFEST_FILE, load_manifest


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
    with pytest.raises(DataError, match="expected format version 1, received None"):
        load_manifest(dataset)


def test_another_format_version_is_refused(dataset):
    edit(dataset, format_version=99)
    with pytest.raises(DataError, match="expected format version 1, received 99"):
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
