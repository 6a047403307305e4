import dataclasses
import hashlib
import json
import math
import subprocess

import pytest

from tests.exported import LINEAGE
from twofold.components.errors import ExportedModelError
from twofold.components.export.saved_model.lineage import (
    NOT_STATED,
    DataSummary,
    checkpoint_sha256,
    installed_versions,
    package_licences,
    read_lineage,
    write_lineage,
)
from twofold.components.export.saved_model.version_directory import (
    checksum_of,
    differing_files,
    file_checksums,
    find_version,
    read_checksums,
    write_checksums,
)


def test_what_is_written_is_read(tmp_path):
    path = write_lineage(tmp_path, LINEAGE)

    assert path == tmp_path / "assets.extra" / "twofold.json"
    assert read_lineage(tmp_path) == LINEAGE
    assert (tmp_path / "assets.extra" / "config.yaml").read_text() == LINEAGE.configuration_yaml


def test_the_keys_that_others_read_stay(tmp_path):
    content = json.loads(write_lineage(tmp_path, LINEAGE).read_text())

    assert content["configuration"] == LINEAGE.configuration
    assert content["class_names"] == ["cat", "dog"]
    assert content["image"] == {"height": 2, "width": 2, "channels": 1, "formats": ["RAW"]}
    assert content["dataset_fingerprint"] == "f" * 64
    assert content["metrics"] == LINEAGE.metrics


def test_a_model_with_these_keys_alone_is_read_and_the_rest_is_not_made_up(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    content = {
        "configuration": {"name": "old"},
        "class_names": [],
        "image": {"height": 8, "width": 8, "channels": 3},
        "dataset_fingerprint": "abc",
        "metrics": {"pretrain/loss": 2},
    }
    (tmp_path / "assets.extra" / "twofold.json").write_text(json.dumps(content))

    lineage = read_lineage(tmp_path)

    assert lineage is not None
    assert lineage.data == DataSummary("abc", licence=NOT_STATED)
    assert lineage.metrics == {"pretrain/loss": 2.0}
    assert (lineage.checkpoint, lineage.held_out_images, lineage.versions) == ("", 0, {})


def test_a_figure_that_is_not_finite_is_null_in_the_file(tmp_path):
    broken = dataclasses.replace(LINEAGE, metrics={"pretrain/loss": math.nan})

    text = write_lineage(tmp_path, broken).read_text()

    json.loads(text, parse_constant=pytest.fail)
    lineage = read_lineage(tmp_path)
    assert lineage is not None
    assert math.isnan(lineage.metrics["pretrain/loss"])


def test_a_model_without_lineage_has_none(tmp_path):
    assert read_lineage(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged: AttributeError"),
        ('{"format_version": 9}', "expected format version 1, received 9"),
        ('{"class_names": []}', "is damaged: KeyError: 'dataset_fingerprint'"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, message):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "twofold.json").write_text(text)

    with pytest.raises(ExportedModelError, match=rf"twofold\.json:? {message}|{message}"):
        read_lineage(tmp_path)


def test_the_checkpoints_hash_is_that_of_sha256sum(tmp_path):
    (tmp_path / "weights.index").write_bytes(b"index")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "a").write_bytes(b"a")
    (tmp_path / "checkpoint").write_text("when it was written")

    listed = subprocess.run(
        ["sha256sum", "part/a", "weights.index"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    assert checkpoint_sha256(tmp_path) == hashlib.sha256(listed).hexdigest()

    before = checkpoint_sha256(tmp_path)
    (tmp_path / "weights.index").write_bytes(b"indey")
    assert checkpoint_sha256(tmp_path) != before


def test_a_folder_without_a_checkpoint_has_no_hash(tmp_path):
    with pytest.raises(ExportedModelError, match="holds no checkpoint"):
        checkpoint_sha256(tmp_path / "missing")


def test_versions_and_licences_are_those_of_the_installed_packages():
    versions, licences = installed_versions("v1-3-gabc"), package_licences()

    assert versions["git_revision"] == "v1-3-gabc"
    assert (versions["python"] or "").startswith("3.")
    assert (versions["tensorflow"] or "").startswith("2.")
    assert licences["twofold"] == "Apache-2.0"
    assert "Apache" in licences["tensorflow"]
    assert "BSD-3-Clause" in licences["numpy"]
    # Needed for tests alone.
    assert "pytest" not in licences


def test_every_file_is_listed_but_the_list_and_each_change_is_found(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "variables" / "data").write_bytes(b"1234")
    path = write_checksums(tmp_path)

    recorded = read_checksums(tmp_path)
    assert path.parent.name == "assets.extra"
    assert recorded == {
        "saved_model.pb": hashlib.sha256(b"graph").hexdigest(),
        "variables/data": hashlib.sha256(b"1234").hexdigest(),
    }
    assert differing_files(recorded, file_checksums(tmp_path)) == []

    (tmp_path / "variables" / "data").write_bytes(b"1235")
    (tmp_path / "saved_model.pb").unlink()
    (tmp_path / "more").touch()
    present = file_checksums(tmp_path)
    assert checksum_of(present) != checksum_of(recorded)
    assert [one.partition(": ")[0] for one in differing_files(recorded, present)] == [
        "more is not in the list of checksums",
        "saved_model.pb is missing",
        "variables/data is damaged",
    ]


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}'])
def test_a_damaged_list_is_named(tmp_path, text):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "checksums.json").write_text(text)

    with pytest.raises(ExportedModelError, match=r"checksums\.json is damaged"):
        read_checksums(tmp_path)


def test_the_newest_of_several_versions_is_meant(tmp_path):
    for name in ("2", "10", "9", "x11", "12"):
        (tmp_path / name).mkdir()
        if name != "12":
            (tmp_path / name / "saved_model.pb").touch()

    assert find_version(tmp_path) == tmp_path / "10"
    assert find_version(tmp_path / "x11") == tmp_path / "x11"


def test_a_directory_without_a_model_says_what_it_holds(tmp_path):
    (tmp_path / "12").mkdir()

    with pytest.raises(ExportedModelError, match=r"expected saved_model\.pb in it.*found 12"):
        find_version(tmp_path)
    with pytest.raises(ExportedModelError, match="no such directory"):
        find_version(tmp_path / "missing")
