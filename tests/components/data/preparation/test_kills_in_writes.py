"""A preparation that is killed, or finds the disk full, in any write ends as if it had not been."""

import subprocess
import sys

# Without Beam the stages are the same functions, and a preparation takes milliseconds. Each child
# is killed one change of a file later than the one before it, and where it was about to name a
# file, half of the file is written. Every fifth finds the disk full in place of the kill.
KILLED_IN_EACH_WRITE = """
import errno, functools, hashlib, os, pathlib, shutil, signal, sys
from twofold.components.data.preparation import beam_pipeline, merge_parts, plan
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.preparation.resolve import resolve
from twofold.components.data.preparation.scan import scan
from twofold.components.data.preparation.write_shards import write_shard
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources import build_source
from twofold.components.data.verification.verify_dataset import verify_dataset
from twofold.components.pages.dataset_page import render_report

root, images = pathlib.Path(sys.argv[1]), sys.argv[2]
target = root / "set"
CHANGES = ("os.rename", "os.link", "os.rmdir")
left, full = None, False
# Only the end of the machine would tell the difference.
os.fsync = lambda descriptor: None

def run(staging, tasks, *rest):
    runs = merge_parts.group_parts(tasks)
    for task in tasks:
        list(scan(task, staging))
    resolved = functools.partial(resolve, staging=staging, parts=tuple(tasks))
    for run, _ in list(merge_parts.resolve_into_runs(("parts", tasks), resolved, runs)):
        list(merge_parts.merge_run((run, [run]), staging, runs))
    for name, shard_range in merge_parts.list_shards(("runs", runs), staging):
        list(write_shard((name, [shard_range]), staging, tuple(runs), merged=True))

# Four tasks, and two runs of their parts.
plan._TASK_ITEMS, merge_parts.MOST_PARTS, merge_parts.PARTS_OF_RUN = (16, 16), 2, 2
beam_pipeline.run_pipeline = run

def make():
    prepare(
        build_source("folder", path=images),
        target,
        name="set",
        settings=PrepareSettings(images_per_shard=30, max_reject_share=0.1),
        render_page=render_report,
        code={"module": "0"},
    )

def kill_in_a_write(event, arguments):
    global left
    if left is None or event not in CHANGES or not str(arguments[0]).startswith(str(root)):
        return
    if left == 0:
        left = None
        source = pathlib.Path(os.fsdecode(arguments[0]))
        if event == "os.rename" and source.is_file() and not full:
            os.truncate(source, source.stat().st_size // 2)
        print(os.fsdecode(arguments[0 if event == "os.rmdir" else 1]), flush=True)
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1

def digests():
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in target.iterdir()}

sys.addaudithook(kill_in_a_write)
make()
whole = digests()
for number in range(10_000):
    shutil.rmtree(target)
    child = os.fork()
    if child == 0:
        left, full = number, number % 5 == 0
        try:
            make()
        except OSError as error:
            os.kill(os.getpid(), signal.SIGKILL if error.errno == errno.ENOSPC else signal.SIGABRT)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, status
        if number % 5:
            break
        # Where no link can be made, a copy is.
    else:
        assert os.WTERMSIG(status) == signal.SIGKILL
    make()
    assert digests() == whole, (number, sorted(set(digests()) ^ set(whole)))
    if number % 7 == 0:
        assert verify_dataset(target) == []
    assert [path.name for path in root.iterdir()] == ["set"]
"""


def test_a_kill_or_a_full_disk_in_any_write_and_a_rerun_give_the_same_folder(
    tmp_path, class_files, write_files
):
    files = {**class_files, "dog/text.png": b"none"}
    images = write_files(tmp_path / "images", files)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", KILLED_IN_EACH_WRITE, str(tmp_path / "out"), str(images)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    named = {line.rpartition("/")[2] for line in finished.stdout.splitlines()}
    expected = {"images.parquet", "dataset_report.html", "manifest.json", "rejects.jsonl"}
    expected |= {"resolution.json", "000000.arrow", "000000.spool", "code.json", "set"}
    expected |= {"run-00000.arrow", "run-00001.spool"}
    assert expected <= named
