"""Processes that share a study's directory share its runs; a run that fails ends no other."""

import dataclasses
import fcntl
import json
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from twofold.components.errors import (
    DirectoryInUseError,
    OtherCodeError,
    RunDirectoryError,
    StudyError,
)
from twofold.components.training.resuming.interruption import Interruption, StopRequest
from twofold.pipeline.config import RunConfig, StudyConfig
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import LOCK, RunDirectory
from twofold.pipeline.studies import member_queue
from twofold.pipeline.studies.member_queue import Unit, part_of, run_members, wait_for_images
from twofold.pipeline.studies.study_members import Member, member_config

RunUnit = Callable[[Context, Unit, bool], list[Member]]


@dataclasses.dataclass
class Said:
    """A study of three encoders, what it says, and the runs that were tried."""

    context: Context
    units: list[Unit]
    lines: list[str]
    tried: list[str] = dataclasses.field(default_factory=list)

    def run_unit(self, fail: dict[str, BaseException] | None = None) -> RunUnit:
        """Records a finished step in each run's directory, or fails."""

        def run(study: Context, unit: Unit, described: bool) -> list[Member]:
            self.tried.append(unit.encoder)
            part = part_of(study, unit.config)
            try:
                with part.run.record("prepare", "1"):
                    pass
                with part.run.record("pretrain", "1"):
                    if fail and unit.encoder in fail:
                        raise fail[unit.encoder]
            finally:
                part.run.close()
            return [Member(unit.encoder, unit.seed, part)]

        return run


@pytest.fixture
def said(tmp_path: Path) -> Said:
    config = RunConfig(name="s", study=StudyConfig(encoders={"a": (), "b": (), "c": ()}))
    lines: list[str] = []
    run = RunDirectory(tmp_path / "s", config, {})
    context = Context(config, run, "", (), no_progress, lines.append)
    units = [Unit(one, 0, member_config(config, one, 0)) for one in "abc"]
    return Said(context, units, lines)


@pytest.fixture
def held(said: Said) -> Iterator[Path]:
    """Another process works in the directory of b; what it holds is let go once it is unlinked."""
    folder = said.context.run.path / "b-seed-0"
    folder.mkdir(parents=True)
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def encoders_of(members: list[Member]) -> list[str]:
    return [member.encoder for member in members]


def test_a_run_that_fails_ends_no_other_and_is_named_at_the_end(said: Said) -> None:
    fail: dict[str, BaseException] = {"a": ValueError("no such thing"), "b": OSError(28, "Full")}
    with pytest.raises(StudyError) as failure:
        run_members(said.context, said.units, said.run_unit(fail), wait=True)
    assert said.tried == ["a", "b", "c"]
    assert "2 of 3 runs of s failed" in str(failure.value)
    assert "b-seed-0: Full" in str(failure.value)
    # Both tracebacks are there to be shown.
    assert isinstance(failure.value.__cause__, ExceptionGroup)
    assert len(failure.value.__cause__.exceptions) == 2
    assert [line for line in said.lines if line.startswith("a-seed-0: failed: ")]
    # The same command, once the causes are gone.
    members = run_members(said.context, said.units, said.run_unit(), wait=True)
    assert encoders_of(members) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "end", [OtherCodeError("reuse or update?"), Interruption("SIGTERM", 143), KeyboardInterrupt()]
)
def test_a_question_or_an_interruption_ends_the_study_at_once(
    said: Said, end: BaseException
) -> None:
    with pytest.raises(type(end)):
        run_members(said.context, said.units, said.run_unit({"a": end}), wait=True)
    assert said.tried == ["a"]


def test_images_that_cannot_be_prepared_end_the_study_at_once(said: Said) -> None:
    def fail(study: Context, unit: Unit, described: bool) -> list[Member]:
        said.tried.append(unit.encoder)
        raise RuntimeError("no images")

    with pytest.raises(RuntimeError, match="no images"):
        run_members(said.context, said.units, fail, wait=True)
    assert said.tried == ["a"]


def test_what_another_process_runs_is_left_to_it(said: Said, held: Path) -> None:
    members = run_members(said.context, said.units, said.run_unit(), wait=False)
    assert encoders_of(members) == ["a", "c"]
    assert not (held / "run.json").exists()


def test_who_helps_takes_over_what_another_process_left_meanwhile(said: Said, held: Path) -> None:
    def run(study: Context, unit: Unit, described: bool) -> list[Member]:
        members = said.run_unit()(study, unit, described)
        if unit.encoder == "c":
            # The other process is killed.
            (held / LOCK).unlink()
        return members

    members = run_members(said.context, said.units, run, wait=False)
    assert encoders_of(members) == ["a", "b", "c"]
    assert said.tried == ["a", "b", "c", "b"]


def test_what_other_processes_run_does_not_count_as_finished(said: Said, held: Path) -> None:
    with pytest.raises(StudyError, match="1 of 3 runs of s failed, 1 under way in other pro"):
        run_members(said.context, said.units, said.run_unit({"a": OSError("no")}), wait=False)


def test_the_process_that_measures_waits_for_the_others_and_takes_over_what_they_leave(
    said: Said, held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = []

    def let_go(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            # A process that ends lets go of its lock.
            (held / LOCK).unlink()

    monkeypatch.setattr(member_queue, "time", types.SimpleNamespace(sleep=let_go))
    members = run_members(said.context, said.units, said.run_unit(), wait=True)
    assert encoders_of(members) == ["a", "b", "c"]
    assert said.lines.count("waiting for b-seed-0, which other processes run") == 1


def test_a_time_limit_ends_the_waiting(
    said: Said, held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_queue, "_POLL_SECONDS", 0.0)
    context = dataclasses.replace(said.context, stop=StopRequest(max_minutes=0))
    with pytest.raises(Interruption, match="--max-minutes 0"):
        run_members(context, said.units, said.run_unit(), wait=True)


def test_who_helps_waits_until_the_images_are_prepared(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = said.units[0]
    beginner = part_of(said.context, first.config).run

    def prepare(seconds: float) -> None:
        with beginner.record("prepare", "1"):
            pass

    monkeypatch.setattr(member_queue, "time", types.SimpleNamespace(sleep=prepare))
    study = RunDirectory(said.context.run.path, said.context.config, {})
    with study.record("study", "1"):
        wait_for_images(said.context, first)


def test_who_helps_waits_for_no_process_that_has_ended(said: Said) -> None:
    said.context.run.path.mkdir()
    with pytest.raises(DirectoryInUseError, match="ended before its images were prepared"):
        wait_for_images(said.context, said.units[0])


def test_a_record_that_another_process_wrote_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    config = RunConfig(name="one")
    late, early = (RunDirectory(tmp_path / "one", config, {}) for _ in range(2))
    with early.record("prepare", "1"):
        pass
    early.close()
    with (
        pytest.raises(DirectoryInUseError, match="another process worked in"),
        late.record("p", "1"),
    ):
        pass
    assert "prepare" in json.loads((tmp_path / "one" / "run.json").read_text())["steps"]


def test_a_directory_that_another_process_is_about_to_begin_is_no_foreign_one(
    tmp_path: Path,
) -> None:
    (tmp_path / LOCK).touch()
    (tmp_path / "config.yaml").touch()
    RunDirectory(tmp_path, RunConfig(), {})
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(RunDirectoryError, match="is not empty"):
        RunDirectory(tmp_path, RunConfig(), {})
