"""The command line: help, exit statuses, and one line for what went wrong."""

import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.conftest import Outcome
from twofold.components.errors import DataError
from twofold.components.training.resuming.interruption import Interruption
from twofold.pipeline.cli.app import COMMANDS
from twofold.pipeline.cli.commands import recipe_commands, run_commands, try_out
from twofold.pipeline.recipes import load_recipe, recipe_names
from twofold.pipeline.rehearsal import check_run
from twofold.pipeline.runs.run_context import Context

Twofold = Callable[..., Outcome]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name: str, twofold: Twofold) -> None:
    status, out, error = twofold(name, "--help")
    assert (status, error) == (0, "")
    assert f"Example: twofold {name}" in out


def test_the_promised_commands_are_there(twofold: Twofold) -> None:
    promised = {"recipes", "show", "run", "prepare", "pretrain", "evaluate", "export", "serve"}
    assert promised | {"doctor"} <= set(COMMANDS)
    listing = twofold("--help").out
    assert all(name in listing for name in COMMANDS)


def test_recipes_lists_all_with_their_commands(twofold: Twofold) -> None:
    status, out, error = twofold("recipes")
    assert (status, error) == (0, "")
    assert all(f"twofold run {name}" in out for name in recipe_names())


@pytest.mark.parametrize("recipe", recipe_names())
def test_what_show_prints_is_taken_back(recipe: str, twofold: Twofold, tmp_path: Path) -> None:
    shown = twofold("show", recipe, "--set", "seed=3")
    path = tmp_path / "é my.yaml"
    path.write_text(shown.out, encoding="utf-8")
    assert twofold("show", str(path)) == shown
    assert (shown.status, shown.error) == (0, "")
    assert "seed: 3" in shown.out


def test_the_doctor_is_well(twofold: Twofold) -> None:
    status, out, error = twofold("doctor")
    assert (status, error) == (0, "")
    assert importlib.metadata.version("tensorflow") in out


def _stand_in(monkeypatch: pytest.MonkeyPatch, error: BaseException | None) -> list[Context]:
    """Runs no steps, or ends as if one failed; gives the contexts that steps would get."""
    contexts: list[Context] = []

    def run_steps(context: Context, until: str) -> None:
        contexts.append(context)
        if error is not None:
            raise error

    monkeypatch.setattr(run_commands, "run_steps", run_steps)
    return contexts


def test_a_run_lives_in_the_working_directory_under_its_name(
    twofold: Twofold, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contexts = _stand_in(monkeypatch, None)
    assert twofold("run", "quickstart", "--workdir", str(tmp_path / "é w")).status == 0
    # What YAML would take for a number is a name here.
    assert twofold("run", "quickstart", "--name", "2024", "--workdir", str(tmp_path)).status == 0
    assert [one.run.path for one in contexts] == [
        tmp_path / "é w" / "quickstart",
        tmp_path / "2024",
    ]
    assert contexts[0].config == load_recipe("quickstart")
    assert contexts[1].config.name == "2024"
    assert contexts[1].datasets == str(tmp_path / "datasets")
    assert list(tmp_path.iterdir()) == []


def test_what_follows_two_dashes_is_beams(
    twofold: Twofold, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contexts = _stand_in(monkeypatch, None)
    options = ("--runner=FlinkRunner", "--debug", "--set", "x")
    ended = twofold("run", "quickstart", "--workdir", str(tmp_path), "--", *options)
    assert ended.status == 0, ended.error
    assert contexts[0].beam_options == options


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("pets.npz: no\nfield 'x' [red]"), "error: pets.npz: no field 'x' [red]"),
        (PermissionError(13, "Permission denied", "/w"), "error: /w: Permission denied"),
        (
            KeyError("x"),
            "error: internal error: KeyError: 'x' (at twofold/pipeline/cli/commands/",
        ),
    ],
)
def test_a_failure_is_one_line_and_with_debug_its_traceback(
    error: Exception,
    line: str,
    twofold: Twofold,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    _stand_in(monkeypatch, error)
    arguments = ("run", "quickstart", "--workdir", str(tmp_path))
    failed = twofold(*arguments)
    assert failed.status == 1
    assert failed.error.startswith(line)
    assert len(failed.error.splitlines()) == 1
    for place in (0, 1):
        debugged = twofold(*arguments[:place], "--debug", *arguments[place:])
        assert debugged.status == 1
        assert "Traceback (most recent call last)" in debugged.error


@pytest.mark.parametrize(
    ("cause", "status"), [("SIGTERM", 143), ("SIGINT", 130), ("--max-minutes 3", 75)]
)
def test_a_run_that_was_told_to_end_does_so_with_its_status(
    cause: str,
    status: int,
    twofold: Twofold,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    contexts = _stand_in(monkeypatch, Interruption(cause, status, step=7))
    limit = ("--max-minutes", "0") if status == 75 else ()
    ended = twofold("run", "quickstart", "--workdir", str(tmp_path), *limit)
    assert ended.status == status
    assert " ".join(ended.error.split()) == (
        f"interrupted at step 7 ({cause}); the same command goes on from the last checkpoint"
    )
    assert contexts[0].stop.requested == (status == 75)


def test_an_interrupted_run_says_how_to_go_on(
    twofold: Twofold, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _stand_in(monkeypatch, KeyboardInterrupt())
    ended = twofold("run", "quickstart", "--workdir", str(tmp_path))
    assert ended.status == 130
    assert "the same command goes on from the last checkpoint" in ended.error


@pytest.mark.parametrize("trial", ["--check", "--dry-run"])
def test_an_interrupted_trial_promises_no_checkpoint(
    trial: str, twofold: Twofold, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(*given: object, **options: object) -> None:
        raise Interruption("SIGINT", 130)

    monkeypatch.setattr(try_out, "run_apart", interrupt)
    monkeypatch.setattr(check_run, "run_apart", interrupt)
    ended = twofold("run", "quickstart", "--workdir", str(tmp_path), trial)
    assert ended.status == 130
    assert ended.error == "interrupted (SIGINT); the trial left nothing behind\n"


def test_an_interrupted_command_that_makes_nothing_promises_nothing(
    twofold: Twofold, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe_commands, "load_config", interrupt)
    ended = twofold("show", "quickstart")
    assert (ended.status, ended.error.strip()) == (130, "interrupted")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "Usage"),
        (("nosuch",), "nosuch"),
        (("run",), "RECIPE"),
        (("run", "quickstart", "--until", "deploy"), "prepare, pretrain, evaluate"),
        (("run", "quickstart", "--epochs", "3"), "--epochs"),
        (("run", "quickstart", "--set"), "--set"),
        (("serve", "model", "--rest-port", "99999"), "--rest-port"),
        (("serve", "model", "--rest-port", "http"), "--rest-port"),
    ],
)
def test_wrong_usage_is_status_2_and_named(
    arguments: tuple[str, ...], named: str, twofold: Twofold
) -> None:
    ended = twofold(*arguments)
    assert ended.status == 2
    assert named in ended.out + ended.error


def test_update_and_reuse_together_take_other_settings_and_keep_what_other_code_made(
    twofold: Twofold, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contexts = _stand_in(monkeypatch, None)
    run = tmp_path / "quickstart"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "ckpt-3.index").touch()
    other = load_recipe("quickstart").model_dump(mode="json") | {"seed": 7}
    (run / "run.json").write_text(json.dumps({"steps": {}, "configuration": other}))
    arguments = ("run", "quickstart", "--workdir", str(tmp_path), "--reuse")
    refused = twofold(*arguments)
    assert (refused.status, contexts) == (2, [])
    assert "seed: 7 there, 0 here" in refused.error
    assert twofold(*arguments, "--update").status == 0
    assert contexts[0].other_code == "reuse"


@pytest.mark.parametrize("trial", [(), ("--dry-run",)])
def test_a_study_is_refused_by_several_workers_before_they_wait_for_one_another(
    trial: tuple[str, ...], twofold: Twofold, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = {"worker": ["localhost:1", "localhost:2"]}
    task = {"type": "worker", "index": 1}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    ended = twofold("run", "dsprites_study", "--workdir", str(tmp_path / "work"), *trial)
    assert ended.status == 2
    assert ended.error.startswith("error: dsprites_study is a study of several runs, and TF_CONFIG")
    assert not (tmp_path / "work").exists()
