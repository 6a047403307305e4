import subprocess
import sys

import pytest

from twofold.components.files import new_directory


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
