"""Finished work on disk: whole or not at all, and known by what it was made from."""

import contextlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.components.errors import RunDirectoryError
from twofold.components.training.resuming.interruption import Interruption
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.runs.run_directory import (
    RunDirectory,
    fingerprint,
)

CONFIG = RunConfig()
OTHER = override(CONFIG, ["training.epochs=7", "encoder.filters=[3]"])
FACTS = {"twofold": "1.2.3"}

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _record(path: Path) -> dict[str, object]:
    record: dict[str, object] = json.loads((path / "run.json").read_text())
    return record


def _steps(path: Path) -> dict[str, dict[str, object]]:
    steps: dict[str, dict[str, object]] = json.loads((path / "run.json").read_text())["steps"]
    return steps


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "é runs" / "first run"


def test_a_fingerprint_stays_the_same_between_versions() -> None:
    assert fingerprint({"step": "prepare-1", "seed": 3}) == "680dc53b63b9a4bf"


@settings(deadline=None)
@given(parts=st.dictionaries(st.text(), plain, max_size=4))
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(parts: dict[str, object]) -> None:
    assert fingerprint(parts) == fingerprint(dict(reversed(parts.items())))


@settings(deadline=None)
@given(first=plain, second=plain)
def test_fingerprints_differ_with_what_they_are_made_from(first: object, second: object) -> None:
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (fingerprint({"x": first}) == fingerprint({"x": second})) == same


def test_nothing_is_written_before_a_step_begins(path: Path) -> None:
    run = RunDirectory(path, CONFIG, FACTS)
    assert not run.is_done("prepare", "f1")
    assert run.metrics() == {}
    assert not path.parent.exists()


def test_a_finished_step_is_on_record(path: Path) -> None:
    run = RunDirectory(path, CONFIG, FACTS)
    with run.record("prepare", "f1") as entry:
        assert _steps(path)["prepare"]["status"] == "running"
        entry["details"]["dataset"] = "d"
        entry["metrics"] = {"prepare/read": 3}
    again = RunDirectory(path, CONFIG, FACTS)
    assert again.is_done("prepare", "f1")
    assert not again.is_done("prepare", "f2")
    assert not again.is_done("pretrain", "f1")
    assert again.fingerprint_of("prepare") == "f1"
    assert again.fingerprint_of("pretrain") is None
    assert again.details("prepare") == {"dataset": "d"}
    assert again.seconds("prepare") >= 0
    record = _record(path)
    assert record["twofold"] == "1.2.3"
    assert record["configuration"] == CONFIG.model_dump(mode="json")
    assert yaml.safe_load((path / "config.yaml").read_text()) == record["configuration"]


def _fail(run: RunDirectory, error: BaseException) -> None:
    with run.record("prepare", "f1") as entry:
        entry["metrics"] = {"prepare/read": 3}
        raise error


@pytest.mark.parametrize("error", [RuntimeError("no space"), KeyboardInterrupt("no space")])
def test_a_failed_step_is_on_record_with_its_cause(path: Path, error: BaseException) -> None:
    with pytest.raises(type(error), match="no space"):
        _fail(RunDirectory(path, CONFIG, FACTS), error)
    assert _steps(path)["prepare"]["status"] == "failed"
    assert _steps(path)["prepare"]["error"] == f"{type(error).__name__}: no space"
    again = RunDirectory(path, CONFIG, FACTS)
    assert not again.is_done("prepare", "f1")
    assert again.metrics() == {}


def test_an_interrupted_step_is_on_record_with_where_it_ended(path: Path) -> None:
    run = RunDirectory(path, CONFIG, FACTS)
    with pytest.raises(Interruption), run.record("pretrain", "f1"):
        raise Interruption("SIGTERM", 143, step=7)
    entry = _steps(path)["pretrain"]
    assert (entry["status"], entry["error"]) == ("interrupted", "interrupted at step 7 (SIGTERM)")
    assert not RunDirectory(path, CONFIG, FACTS).is_done("pretrain", "f1")


def _attempt(path: Path, step: str, made_by: str, *, seconds: float, ends: str = "done") -> float:
    """Makes an attempt of a step by a clock that does not tick; gives the seconds on record."""
    run, now = RunDirectory(path, CONFIG, FACTS), [0.0]
    with pytest.MonkeyPatch.context() as patch:
        for clock in ("monotonic", "process_time"):
            patch.setattr(f"twofold.pipeline.runs.run_directory.time.{clock}", lambda: now[0])
        with contextlib.suppress(KeyboardInterrupt), run.record(step, made_by):
            now[0] = seconds
            if ends == "killed":
                # A checkpoint was the last that was heard of it.
                run.note_time()
                now[0] += 50
                patch.setattr(run, "note_time", lambda: None)
            if ends != "done":
                raise KeyboardInterrupt
    entry = _steps(path)[step]
    assert entry["seconds"] == entry["cpu_seconds"]
    return float(str(entry["seconds"]))


def test_a_step_costs_what_all_its_attempts_took(path: Path) -> None:
    assert _attempt(path, "pretrain", "f1", seconds=10, ends="interrupted") == 10
    assert _attempt(path, "pretrain", "f1", seconds=20, ends="killed") == 30
    assert _attempt(path, "pretrain", "f1", seconds=5) == 35
    assert _steps(path)["pretrain"]["attempts"] == 3
    # Its finished weights were damaged, and are made from the last checkpoint.
    assert _attempt(path, "pretrain", "f1", seconds=1) == 36
    # Of other inputs, from the start.
    assert _attempt(path, "pretrain", "f2", seconds=3) == 3
    assert _steps(path)["pretrain"]["attempts"] == 1
    # What is measured again is not gone on with.
    assert [_attempt(path, "evaluate", "f1", seconds=4) for _ in range(2)] == [4, 4]


def test_a_killed_step_counts_as_not_finished(path: Path) -> None:
    first = RunDirectory(path, CONFIG, FACTS)
    with first.record("prepare", "f1"):
        assert not RunDirectory(path, CONFIG, FACTS).is_done("prepare", "f1")


def test_a_forgotten_step_is_off_the_record_at_the_next_write(path: Path) -> None:
    run = RunDirectory(path, CONFIG, FACTS)
    for step in ("prepare", "pretrain"):
        with run.record(step, "f1") as entry:
            entry["metrics"] = {f"{step}/x": 1}
    run.forget("pretrain")
    run.forget("export")
    assert not run.is_done("pretrain", "f1")
    with run.record("prepare", "f2"):
        pass
    assert list(_steps(path)) == ["prepare"]


def test_metrics_are_those_of_all_finished_steps(path: Path) -> None:
    run = RunDirectory(path, CONFIG, FACTS)
    for step, value in (("prepare", 1), ("pretrain", 0.5)):
        with run.record(step, "f1") as entry:
            entry["metrics"] = {f"{step}/x": value}
    expected = {"prepare/x": 1, "pretrain/x": 0.5}
    assert run.metrics() == expected
    assert json.loads((path / "metrics.json").read_text()) == expected


def _finish_a_step(path: Path) -> None:
    with RunDirectory(path, CONFIG, FACTS).record("pretrain", "f1"):
        pass


def test_another_configuration_is_refused_with_the_keys_that_differ(path: Path) -> None:
    _finish_a_step(path)
    before = _record(path)
    with pytest.raises(RunDirectoryError) as refusal:
        RunDirectory(path, OTHER, FACTS)
    message = str(refusal.value)
    assert message.startswith(f"{path} holds a run of another configuration")
    assert "encoder.filters: [6, 16] there, [3] here" in message
    # A training goes on with other epochs.
    assert "training.epochs" not in message
    assert "seed" not in message
    assert "--name" in message
    assert "--update" in message
    assert _record(path) == before


def test_update_takes_the_directory_over_and_keeps_its_steps(path: Path) -> None:
    _finish_a_step(path)
    run = RunDirectory(path, OTHER, FACTS, update=True)
    assert run.is_done("pretrain", "f1")
    with run.record("evaluate", "f2"):
        pass
    assert list(_steps(path)) == ["evaluate", "pretrain"]
    assert RunDirectory(path, OTHER, FACTS).is_done("pretrain", "f1")


def test_a_checkpoint_is_work_to_keep(path: Path) -> None:
    with RunDirectory(path, CONFIG, FACTS).record("prepare", "f1"):
        pass
    (path / "checkpoints").mkdir()
    (path / "checkpoints" / "ckpt-3.index").touch()
    with pytest.raises(RunDirectoryError, match="another configuration"):
        RunDirectory(path, OTHER, FACTS)


def test_a_run_that_only_prepared_can_be_mended_in_place(path: Path) -> None:
    with RunDirectory(path, CONFIG, FACTS).record("prepare", "f1"):
        pass
    with (
        pytest.raises(ValueError, match="too large"),
        RunDirectory(path, CONFIG, FACTS).record("pretrain", "f2"),
    ):
        raise ValueError("too large")
    with RunDirectory(path, OTHER, FACTS).record("pretrain", "f3"):
        pass
    assert _steps(path)["pretrain"]["status"] == "done"


def test_a_second_process_is_kept_out(path: Path) -> None:
    first, second = (RunDirectory(path, CONFIG, FACTS) for _ in range(2))
    with first.record("prepare", "f1"):
        before = _record(path)
        with (
            pytest.raises(RunDirectoryError, match="another process works in"),
            second.record("prepare", "f1"),
        ):
            pytest.fail("two processes write one run")
        assert _record(path) == before


def test_a_closed_run_lets_other_processes_in(path: Path) -> None:
    first = RunDirectory(path, CONFIG, FACTS)
    with first.record("prepare", "f1"):
        pass
    first.close()
    with RunDirectory(path, CONFIG, FACTS).record("prepare", "f1"):
        pass


def test_a_file_is_no_run_directory(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("mine")
    with pytest.raises(RunDirectoryError, match="run is a file: expected a directory"):
        RunDirectory(path, CONFIG, FACTS)
    assert path.read_text() == "mine"


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(RunDirectoryError, match=r"is not empty and holds no run\.json"):
        RunDirectory(tmp_path, CONFIG, FACTS)


@pytest.mark.parametrize("update", [False, True])
@pytest.mark.parametrize("record", [None, {"steps": {"pretrain": {"status": "done"}}}])
def test_a_run_whose_record_is_lost_is_refused_in_a_short_line(
    tmp_path: Path, record: object, update: bool
) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "ckpt-3.index").touch()
    if record is not None:
        (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunDirectoryError, match=r"expected a run directory .* --name") as refusal:
        RunDirectory(tmp_path, CONFIG, FACTS, update=update)
    assert len(str(refusal.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"",
        b"[]",
        b"{}",
        b'{"steps": []}',
        b"\xff\xfe",
        b'{"steps": {"prepare": 3}}',
        b'{"steps": {}, "configuration": [1]}',
        b'{"steps": {"evaluate": {"files": "x"}}}',
        b'{"steps": {"evaluate": {"files": {"x": "y"}}}}',
        b'{"steps": {"pretrain": {"code": [3]}}}',
        b'{"steps": {"pretrain": {"reused": {"code": {"m": 3}}}}}',
        b'{"steps": {"pretrain": {"metrics": [3]}}}',
        b'{"steps": {"pretrain": {"metrics": {"pretrain/loss": "x"}}}}',
        b'{"steps": {"pretrain": {"seconds": "long"}}}',
    ],
)
def test_a_damaged_record_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunDirectoryError, match=r"run\.json is damaged: expected .* with --name"):
        RunDirectory(tmp_path, CONFIG, FACTS)
    assert (tmp_path / "run.json").read_bytes() == content
