"""A preparation that is killed, at whatever moment, ends as if it had not been."""

import shutil
import subprocess
import sys

import pytest

from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources import build_source
from twofold.components.data.store.manifest import load_manifest

# Each child is killed one file later than the one before it, until one comes to its end.
KILLED_AGAIN_AND_AGAIN = """
import os, pathlib, signal, sys
import twofold.components.data.preparation.beam_pipeline
from twofold.components import files
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources import build_source
from twofold.components.pages.dataset_page import render_report

target, step = pathlib.Path(sys.argv[1]), int(sys.argv[2])
kills = 0
while True:
    child = os.fork()
    if child == 0:
        left = [1 + step * kills]
        if sys.argv[3] == "whole":
            left = [1 + step * (kills % 3)]
        original = files.new_file
        def counted(path):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return original(path)
        files.new_file = counted
        prepare(
            build_source("dsprites", images=500),
            target,
            name="small",
            settings=PrepareSettings(images_per_shard=150),
            render_page=render_report,
        )
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, status
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert not target.exists()
    kills += 1
print(kills)
"""


def kill_again_and_again(target, step, mode):
    command = [sys.executable, "-c", KILLED_AGAIN_AND_AGAIN, str(target), str(step), mode]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return int(finished.stdout)


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)])
def test_a_kill_after_any_file_and_a_rerun_give_the_same_folder(tmp_path, prepared, digests, step):
    kills = kill_again_and_again(tmp_path / "set", step, "later")
    assert kills >= 3
    assert digests(tmp_path / "set") == digests(prepared)
    assert list(tmp_path.iterdir()) == [tmp_path / "set"]


def test_work_that_was_done_is_not_done_again(tmp_path, prepared, digests):
    # No child may write more than sixteen files, so that none could do all the work alone.
    kills = kill_again_and_again(tmp_path / "set", 5, "whole")
    assert kills >= 2
    assert digests(tmp_path / "set") == digests(prepared)


def test_what_a_kill_after_publishing_leaves_is_cleared_away(tmp_path, prepared):
    directory = shutil.copytree(prepared, tmp_path / "set")
    left = tmp_path / f".tmp-set-{load_manifest(directory).fingerprint[:12]}"
    (left / "parts").mkdir(parents=True)
    settings = PrepareSettings(images_per_shard=150)
    prepare(build_source("dsprites", images=500), directory, name="small", settings=settings)
    assert list(tmp_path.iterdir()) == [directory]
