"""The runs that `twofold tensorboard` finds, and the names that it shows them by."""

from pathlib import Path

import pytest

from twofold.components.errors import UsageError
from twofold.pipeline.cli.tensorboard_server import find_runs, link_runs


def make_run(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "run.json").write_text("{}")
    return path


def shown(root: Path) -> dict[str, Path]:
    return {
        path.relative_to(root).as_posix(): path.resolve()
        for path in root.rglob("*")
        if path.is_symlink()
    }


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_a_run_is_shown_by_its_name_with_its_teacher_beside_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs/one")
    teacher, own = run / "tensorboard-teacher", run / "tensorboard"
    for path in (teacher / "events", own / "events", run / "checkpoints/state"):
        write(path)
    # Embeddings are looked for behind links, and profiles are not.
    write(own / "evaluation/projector_config.pbtxt")
    write(own / "plugins/profile/1/vm.xplane.pb")
    for _ in range(2):
        link_runs(find_runs([run], tmp_path), tmp_path / "links")

    assert shown(tmp_path / "links") == {
        "one/events": own / "events",
        "one/evaluation": own / "evaluation",
        "one/plugins/profile/1": own / "plugins/profile/1",
        "one (teacher)/events": teacher / "events",
    }


def test_without_a_name_the_runs_and_studies_of_the_working_directory_are_found(
    tmp_path: Path,
) -> None:
    for name in ("one", "study", "study/simclr-seed-0", "one/superseded/1"):
        make_run(tmp_path / name)
    (tmp_path / "datasets").mkdir()

    assert [*find_runs([], tmp_path)] == ["one", "study", "study/simclr-seed-0"]


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / folder / "one") for folder in ("a", "b")]

    assert find_runs(runs, tmp_path) == {"a/one": runs[0], "b/one": runs[1]}
    other = make_run(tmp_path / "a/two")
    assert [*find_runs([*runs, other, other], tmp_path)] == ["a/one", "b/one", "two"]


def test_what_is_written_later_appears_and_what_it_replaces_goes(tmp_path: Path) -> None:
    links = tmp_path / "links"
    run = make_run(tmp_path / "runs/one")
    link_runs(find_runs([run], tmp_path), links)
    assert shown(links) == {}
    for number in range(2):
        write(run / f"tensorboard/events.{number}.views")
        link_runs(find_runs([run], tmp_path), links)
        assert [*shown(links)] == [f"one/events.{number}.views"]
        (run / f"tensorboard/events.{number}.views").unlink()


def test_where_there_is_no_run_what_is_expected_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no run in .*expected the directory of a run"):
        find_runs([], tmp_path)
    with pytest.raises(UsageError, match=r"is no run: expected .*run\.json"):
        find_runs([tmp_path], tmp_path)
