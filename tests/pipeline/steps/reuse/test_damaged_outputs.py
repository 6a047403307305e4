"""Files of a finished step that are lost or damaged are found and made again."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.steps.reuse.conftest import LOOP, MADE, Edit, Runs
from twofold.components.errors import UsageError
from twofold.pipeline.steps.reuse import outputs

OUTPUTS = [
    ("pretrain", "checkpoints/final/weights.index"),
    ("pretrain", "checkpoints/final/weights.data-00000-of-00001"),
    ("evaluate", "embeddings/test.npy"),
    ("export", "saved_model/1/saved_model.pb"),
    ("export", "saved_model/1/variables/variables.index"),
]


@pytest.mark.parametrize(("step", "output"), OUTPUTS)
def test_a_result_that_was_accepted_is_checked_from_then_on(
    step: str, output: str, runs: Runs
) -> None:
    runs.forget_code()
    assert runs("reuse") == []
    os.truncate(runs.path / output, 3)
    assert runs()[0] == step
    assert any(str(runs.path / output) in line for line in runs.said)
    assert runs() == []


@pytest.mark.parametrize(("step", "output"), OUTPUTS)
def test_an_empty_file_is_not_accepted(step: str, output: str, runs: Runs) -> None:
    runs.forget_code()
    os.truncate(runs.path / output, 0)
    assert runs("reuse")[0] == step
    assert f"{step}: {runs.path / output} is empty" in runs.said


def _flip_a_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


@pytest.mark.parametrize("step", ["evaluate", "export"])
@pytest.mark.parametrize("how", [Path.unlink, lambda path: os.truncate(path, 3), _flip_a_byte])
def test_a_result_that_lost_a_file_is_made_again(
    step: str, how: Callable[[Path], None], runs: Runs
) -> None:
    damaged = runs.path / MADE[step][0]
    how(damaged)
    assert runs()[0] == step
    assert str(damaged) in runs.said[outputs.STEPS.index(step)]
    assert runs() == []


def test_a_small_file_is_read_whatever_its_time_says_and_a_large_one_that_was_written_since(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "embeddings"
    folder.mkdir()
    small, large = folder / "a.npy", folder / "b.npy"
    small.write_bytes(b"1")
    large.write_bytes(bytes(2 << 20))
    recorded = outputs.describe_files(tmp_path, "evaluate")

    os.utime(large, ns=(1, 1))
    assert outputs.changed_files(tmp_path, "evaluate", recorded) == []
    _flip_a_byte(large)
    (found,) = outputs.changed_files(tmp_path, "evaluate", recorded)
    assert found == f"{large} is not as it was written: its checksum differs"
    time = small.stat().st_mtime_ns
    _flip_a_byte(small)
    os.utime(small, ns=(time, time))
    assert len(outputs.changed_files(tmp_path, "evaluate", recorded)) == 2
    # As earlier versions recorded them.
    sizes = {name: one["bytes"] for name, one in recorded.items()}
    assert outputs.changed_files(tmp_path, "evaluate", sizes) == []


def test_finished_weights_are_made_again_only_where_that_is_soon_done(runs: Runs) -> None:
    damaged = runs.path / "checkpoints" / "final" / "weights.index"
    damaged.unlink()
    runs.change(pretrain={"seconds": 7000})
    with pytest.raises(UsageError, match=r"no checkpoint is left .* 1\.9 h"):
        runs()
    (runs.path / "checkpoints" / "ckpt-3.index").touch()
    assert runs() == ["pretrain", "evaluate", "export"]
    assert damaged.exists()


def test_damaged_weights_of_other_code_are_made_from_their_own_checkpoint(
    runs: Runs, edit: Edit
) -> None:
    began_as = runs.entry("pretrain")["fingerprint"]
    edit(LOOP, "STEPS = 3")
    assert runs("reuse") == []
    (runs.path / "checkpoints" / "ckpt-3.index").touch()
    os.truncate(runs.path / "checkpoints" / "final" / "weights.index", 0)
    assert runs()[0] == "pretrain"
    assert (runs.path / "checkpoints" / "ckpt-3.index").exists()
    assert runs.entry("pretrain")["fingerprint"] == began_as
    assert runs.entry("pretrain")["reused"]["changed"] == [LOOP]
