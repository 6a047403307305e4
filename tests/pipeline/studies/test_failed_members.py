"""A run of a study that failed is tried once for each start of the study, by one process."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from twofold.components.errors import DirectoryInUseError, OtherCodeError, StudyError
from twofold.components.training.resuming.interruption import Interruption
from twofold.pipeline.config import RunConfig, StudyConfig
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.studies.failed_members import new_start, tried_once
from twofold.pipeline.studies.member_queue import Unit, part_of, run_members, study_units
from twofold.pipeline.studies.study_members import STEP, Member

CONFIG = RunConfig(name="s", study=StudyConfig(encoders={"a": (), "b": ()}))
Fail = Callable[[str], BaseException | None]


class Process:
    """A process that runs the members of a study, with what it says and tries."""

    def __init__(self, folder: Path, fail: Fail) -> None:
        self.lines: list[str] = []
        self.tried: list[str] = []
        self._fail = fail
        run = RunDirectory(folder / "s", CONFIG, {})
        self.study = Context(CONFIG, run, "", (), no_progress, self.lines.append)

    def start(self, *, named: bool = True) -> None:
        """Starts the study, and lets go of its directory."""
        with self.study.run.record(STEP, "1", new_start() if named else {}):
            pass
        self.study.run.close()

    def run(self) -> list[Member]:
        return run_members(self.study, study_units(CONFIG), self._run_unit, wait=True)

    def _run_unit(self, study: Context, unit: Unit, described: bool) -> list[Member]:
        part = part_of(study, unit.config)
        part.run.claim()
        try:
            with tried_once(study, part):
                self.tried.append(unit.encoder)
                with part.run.record("prepare", "1"):
                    pass
                error = self._fail(unit.encoder)
                if error is not None:
                    raise error
        finally:
            part.run.close()
        return [Member(unit.encoder, unit.seed, part)]


def fail_a(encoder: str) -> BaseException | None:
    return ValueError("no such thing") if encoder == "a" else None


def never(encoder: str) -> BaseException | None:
    return None


def test_what_failed_in_one_process_is_tried_in_no_other_of_the_same_start(tmp_path: Path) -> None:
    one = Process(tmp_path, fail_a)
    one.start()
    with pytest.raises(StudyError, match="1 of 2 runs of s failed"):
        one.run()
    other = Process(tmp_path, never)
    with pytest.raises(StudyError, match=r"a-seed-0: .*no such thing.*\(in another process\)"):
        other.run()
    assert (one.tried, other.tried) == (["a", "b"], ["b"])


def test_another_start_of_the_study_tries_it_again(tmp_path: Path) -> None:
    one = Process(tmp_path, fail_a)
    one.start()
    with pytest.raises(StudyError):
        one.run()
    again = Process(tmp_path, never)
    again.start()
    assert [member.encoder for member in again.run()] == ["a", "b"]
    assert not list((tmp_path / "s").glob("*/failure.json"))


@pytest.mark.parametrize(
    "end",
    [OtherCodeError("reuse?"), Interruption("SIGTERM", 143), DirectoryInUseError("in use")],
)
def test_an_end_that_is_no_failure_is_not_noted(end: BaseException, tmp_path: Path) -> None:
    one = Process(tmp_path, never)
    one.start()
    part = part_of(one.study, study_units(CONFIG)[0].config)
    with part.run.record("prepare", "1"):
        pass
    with pytest.raises(type(end)), tried_once(one.study, part):
        raise end
    assert not (part.run.path / "failure.json").exists()


def test_a_study_of_before_tries_again_and_a_damaged_note_is_none(tmp_path: Path) -> None:
    one = Process(tmp_path, fail_a)
    one.start(named=False)
    with pytest.raises(StudyError):
        one.run()
    note = tmp_path / "s" / "a-seed-0" / "failure.json"
    assert json.loads(note.read_text())["start"] is None
    note.write_text("{")
    again = Process(tmp_path, never)
    again.start()
    assert [member.encoder for member in again.run()] == ["a", "b"]
