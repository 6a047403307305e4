import concurrent.futures
import json
import os
import stat
import subprocess
import sys

import pytest

from twofold.components.errors import ExportedModelError, ServingRootError
from twofold.components.export.registry.serving_root import open_root
from twofold.components.export.saved_model.version_directory import checksum_of, file_checksums

# What is published here is only ever copied.
_PROMOTE = """
import sys
from pathlib import Path
from twofold.components.export.registry.serving_root import open_root
from twofold.components.export.saved_model.version_directory import checksum_of, file_checksums

version, root = map(Path, sys.argv[1:])
for _ in range(5):
    with open_root(root, create=True) as opened:
        number = opened.next_number()
        opened.record("promoted", {"version": number})
        opened.publish(version, number, checksum_of(file_checksums(version)))
"""


@pytest.fixture
def version(tmp_path):
    path = tmp_path / "model" / "1"
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"graph")
    (path / "variables" / "data").write_bytes(b"weights")
    return path


def publish(version, root, count=1):
    numbers = []
    for _ in range(count):
        with open_root(root, create=True) as opened:
            number = opened.next_number()
            opened.publish(version, number, checksum_of(file_checksums(version)))
            numbers.append(number)
    return numbers


def names(path):
    return sorted(one.name for one in path.iterdir())


def test_versions_are_numbered_from_one_and_are_whole(version, tmp_path):
    root = tmp_path / "serving" / "encoder"

    assert publish(version, root, 2) == [1, 2]

    assert file_checksums(root / "2") == file_checksums(version)
    assert names(root) == [".lock", "1", "2"]
    # A server of another user can read what everyone may read of the model.
    assert stat.S_IMODE((root / "2").stat().st_mode) == stat.S_IMODE(version.stat().st_mode)


def test_a_number_is_never_used_twice(version, tmp_path):
    root = tmp_path / "root"
    publish(version, root, 3)
    with open_root(root) as opened:
        opened.go_back_to(1)
        opened.record("promoted", {"version": 9})
        assert opened.next_number() == 10
        (root / "12").mkdir()
        assert opened.next_number() == 13
        # A server takes any integer for a version, whatever is in it.
        assert opened.current == 12


def test_a_copy_that_fails_leaves_nothing(version, tmp_path, monkeypatch):
    root = tmp_path / "root"

    def fail(source, target, **options):
        (target / "half").touch()
        raise OSError("no space left on device")

    monkeypatch.setattr("shutil.copytree", fail)
    with pytest.raises(OSError, match="no space left"):
        publish(version, root)

    assert names(root) == [".lock"]


def test_a_model_that_changes_meanwhile_is_not_published(version, tmp_path):
    root = tmp_path / "root"
    checksum = checksum_of(file_checksums(version))
    (version / "variables" / "data").write_bytes(b"others!")

    with (
        open_root(root, create=True) as opened,
        pytest.raises(ExportedModelError, match="changed while it was looked at"),
    ):
        opened.publish(version, 1, checksum)

    assert names(root) == [".lock"]


def test_a_version_that_is_there_is_not_replaced(version, tmp_path):
    root = tmp_path / "root"
    publish(version, root)
    (version / "variables" / "data").write_bytes(b"new")

    with open_root(root) as opened, pytest.raises(OSError, match="not empty"):
        opened.publish(version, 1, checksum_of(file_checksums(version)))

    assert (root / "1" / "variables" / "data").read_bytes() == b"weights"


def test_what_a_killed_promoter_left_is_removed(version, tmp_path):
    root = tmp_path / "root"
    publish(version, root)
    (root / ".incoming-0123" / "variables").mkdir(parents=True)

    publish(version, root)

    assert names(root) == [".lock", "1", "2"]


def test_promoters_at_once_take_their_turns(version, tmp_path):
    root = tmp_path / "root"

    def start(_):
        command = [sys.executable, "-c", _PROMOTE, str(version), str(root)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with concurrent.futures.ThreadPoolExecutor() as threads:
        for finished in threads.map(start, range(3)):
            assert finished.returncode == 0, finished.stderr

    with open_root(root) as opened:
        assert sorted(opened.versions) == list(range(1, 16))
        assert [entry["version"] for entry in opened.log()] == list(range(1, 16))
    for number in range(1, 16):
        assert file_checksums(root / str(number)) == file_checksums(version)


def test_decisions_are_appended_with_their_time(tmp_path):
    with open_root(tmp_path) as opened:
        opened.record("refused", {"version": None, "reasons": ["slow"]})
        first = (tmp_path / "promotions.jsonl").read_bytes()
        opened.record("promoted", {"version": 1})

    content = (tmp_path / "promotions.jsonl").read_bytes()
    assert content.startswith(first)
    entries = [json.loads(line) for line in content.splitlines()]
    assert [entry["decision"] for entry in entries] == ["refused", "promoted"]
    assert entries[0]["reasons"] == ["slow"]
    assert all(entry["time"].endswith("+00:00") for entry in entries)


def test_a_line_that_a_crash_cut_short_costs_no_other(tmp_path):
    (tmp_path / "promotions.jsonl").write_text('{"version": 3}\n{"version": 4, "reas')

    with open_root(tmp_path) as opened:
        opened.record("promoted", {"version": 5})

        assert [entry["version"] for entry in opened.log()] == [3, 5]


def test_going_back_withdraws_what_is_above_and_keeps_it(version, tmp_path, monkeypatch):
    root = tmp_path / "root"
    publish(version, root, 4)
    highest, real = [], os.replace

    def rename(source, target, **options):
        real(source, target, **options)
        highest.append(max(int(name) for name in names(root) if name.isdecimal()))

    monkeypatch.setattr("os.replace", rename)
    with open_root(root) as opened:
        assert opened.go_back_to(2) == [3, 4]
        assert opened.current == 2
        assert sorted(opened.withdrawn) == [3, 4]

    # Version 3 was never the one to serve.
    assert highest == [4, 2]
    assert file_checksums(root / "withdrawn" / "4") == file_checksums(version)


def test_a_withdrawn_version_comes_back_under_its_number(version, tmp_path):
    root = tmp_path / "root"
    publish(version, root, 3)
    with open_root(root) as opened:
        opened.go_back_to(1)

        assert opened.go_back_to(3) == []
        assert (opened.current, sorted(opened.versions), [*opened.withdrawn]) == (3, [1, 3], [2])
        assert opened.go_back_to(2) == [3]
        assert (opened.current, [*opened.withdrawn]) == (2, [3])


def test_an_unknown_version_is_answered_with_the_known_ones(version, tmp_path):
    root = tmp_path / "root"
    publish(version, root, 2)

    with (
        open_root(root) as opened,
        pytest.raises(ServingRootError, match="no version 7: expected one of 1, 2"),
    ):
        opened.go_back_to(7)

    assert names(root) == [".lock", "1", "2"]


def test_what_is_no_serving_root_is_refused(version, tmp_path):
    (tmp_path / "file").touch()
    for path, message in [
        (tmp_path / "file", "is a file"),
        (version, "is an exported model itself"),
        (tmp_path / "missing", "no such serving root"),
    ]:
        with pytest.raises(ServingRootError, match=message), open_root(path):
            pytest.fail("it was opened")
    assert not (version / ".lock").exists()
