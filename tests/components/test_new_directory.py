"""Directories that appear whole or not at all."""

import errno
import os
import subprocess
import sys

import pytest

from twofold.components.files import new_directory, restore_directory


def test_the_folder_appears_whole_at_the_end(tmp_path):
    target = tmp_path / "deep" / "target"
    with new_directory(target) as staging:
        (staging / "file").write_text("content")
        assert not target.exists()
    assert (target / "file").read_text() == "content"
    assert list(target.parent.iterdir()) == [target]


def test_an_exception_leaves_nothing(tmp_path):
    def interrupted():
        with new_directory(tmp_path / "target") as staging:
            (staging / "file").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_content_is_not_replaced(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(FileExistsError), new_directory(target):
        (target / "other").write_text("kept")
    assert (target / "other").read_text() == "kept"
    assert list(tmp_path.iterdir()) == [target]


def test_a_killed_process_leaves_no_target_and_the_next_one_cleans_up(tmp_path):
    program = (
        "import os, pathlib, sys\n"
        "from twofold.components.files import new_directory\n"
        "with new_directory(pathlib.Path(sys.argv[1])) as staging:\n"
        "    (staging / 'file').write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    target = tmp_path / "target"
    killed = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert killed.returncode == -9
    assert not target.exists()
    assert len(list(tmp_path.iterdir())) == 1
    with new_directory(target):
        pass
    assert list(tmp_path.iterdir()) == [target]


def test_a_running_process_is_left_alone(tmp_path):
    target = tmp_path / "target"
    with new_directory(target) as first:
        with pytest.raises(ValueError, match="second"), new_directory(target):
            raise ValueError("second")
        assert first.is_dir()
    assert target.is_dir()


@pytest.fixture
def published(tmp_path):
    """A directory that holds the one file `old`."""
    target = tmp_path / "export"
    with new_directory(target) as staging:
        (staging / "old").touch()
    return target


def test_all_of_a_directory_is_replaced_where_that_is_asked_for(published):
    with new_directory(published, replace=True) as staging:
        (staging / "new").touch()
        assert [path.name for path in published.iterdir()] == ["old"]
    assert [path.name for path in published.iterdir()] == ["new"]
    assert list(published.parent.iterdir()) == [published]


def test_a_directory_is_not_replaced_by_one_that_could_not_be_finished(published):
    with pytest.raises(FileNotFoundError), new_directory(published, replace=True) as staging:
        (staging / "new" / "too deep").touch()
    assert [path.name for path in published.iterdir()] == ["old"]
    assert list(published.parent.iterdir()) == [published]


def test_a_directory_that_cannot_be_moved_leaves_the_old_one_in_place(published, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"), new_directory(published, replace=True):
        pass
    assert [path.name for path in published.iterdir()] == ["old"]
    assert list(published.parent.iterdir()) == [published]


def test_a_kill_between_the_two_renames_of_a_replacement_is_undone(published, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt), new_directory(published, replace=True):
            pass
    assert not published.exists()
    restore_directory(published)
    assert [path.name for path in published.iterdir()] == ["old"]
