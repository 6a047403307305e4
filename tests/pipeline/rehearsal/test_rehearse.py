"""A run is tried out on one batch, and what fails is named with its step."""

import os
import pkgutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.conftest import Outcome, short_run
from twofold.components.errors import (
    DataError,
    EndedApartError,
    RehearsalError,
    SettingsError,
    UntriedError,
)
from twofold.components.training.resuming.interruption import StopRequest
from twofold.pipeline.cli.commands import try_out
from twofold.pipeline.config import RunConfig, SwaSettings, override
from twofold.pipeline.recipes import load_recipe, recipe_names
from twofold.pipeline.rehearsal import apart, before_long, check_run
from twofold.pipeline.rehearsal.apart import run_apart
from twofold.pipeline.rehearsal.short_config import images_needed, shorten
from twofold.pipeline.steps import evaluate, runner

Twofold = Callable[..., Outcome]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Tries runs out in this process, in a folder that is returned."""
    folder = tmp_path / "trial"
    folder.mkdir()

    def run_here(work: str, config: RunConfig, **options: Any) -> Any:
        arguments = {key: options[key] for key in options if key not in ("stop", "without_gpu")}
        return pkgutil.resolve_name(work)(config, folder, **arguments)

    for module in (try_out, check_run):
        monkeypatch.setattr(module, "run_apart", run_here)
    return folder


def test_a_step_that_fails_on_one_batch_is_named_after_an_estimate(
    twofold: Twofold,
    two_classes: Path,
    tmp_path: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*given: Any) -> None:
        raise DataError("the probe has nothing to read")

    monkeypatch.setattr(evaluate, "measure_classes", fail)
    arguments = short_run(two_classes, tmp_path / "work", "training.epochs=7")
    ended = twofold(*arguments, "--check", "--dry-run")
    assert ended.status == 1
    assert "evaluate fails: the probe has nothing to read" in ended.error
    # 33 of 40 images are expected to train, in batches of 8, whatever trained here.
    assert "28 steps of 8 images (4 an epoch), 224 images seen" in ended.out
    assert "about 40 (33 train, 7 test), seen at 16x16x3" in ended.out
    assert (here / "run" / "checkpoints" / "final").is_dir()
    assert not (tmp_path / "work").exists()


def test_what_the_first_images_do_not_fit_is_refused_before_anything_is_tried(
    twofold: Twofold, two_classes: Path, tmp_path: Path, here: Path
) -> None:
    arguments = short_run(two_classes, tmp_path / "work", "encoder={name: conv4}")
    ended = twofold(*arguments, "--check")
    assert ended.status == 2
    assert "at least 31x31, received 16x16" in ended.error
    assert not list(here.iterdir())


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_made_short(name: str) -> None:
    config = load_recipe(name)
    short = shorten(config)
    trainings = [short.training]
    if short.method.teacher_stage is not None:
        trainings.append(short.method.teacher_stage.training)
    for training in trainings:
        assert training.epochs == 2
        assert training.warmup_epochs <= 1
        assert not training.callbacks
        if isinstance(training.averaging, SwaSettings):
            assert (training.averaging.start_epoch, training.averaging.period_steps) == (0, 1)
    assert short.training.batch_size == config.training.batch_size
    assert short.encoder == config.encoder
    assert images_needed(config) > config.training.batch_size


def test_a_run_is_checked_once_before_what_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[str, bool, str | None]] = []

    def check(config: RunConfig, *, until: str, without_gpu: bool, **_: Any) -> float:
        tried.append((until, without_gpu, config.training.start_from))
        return 40.0

    monkeypatch.setattr(before_long, "check_run", check)
    said: list[str] = []
    started = override(RunConfig(), ["training.start_from=gone"])
    context: Any = type(
        "Run", (), {"config": started, "stop": StopRequest(), "say": staticmethod(said.append)}
    )
    tell = before_long.check_before_long("evaluate")
    assert tell(context, "training", 7200.0) == 40.0
    assert tell(context, "training", 7200.0) is None
    # The training has the GPUs, and has taken the weights that it starts from.
    assert tried == [("evaluate", True, None)]
    assert said == [
        "training is expected to take 2:00:00: trying all steps on one batch first",
        "all steps passed on one batch, in 0:00:40",
    ]


@pytest.mark.parametrize("error", [EndedApartError, UntriedError])
def test_a_training_goes_on_that_could_not_be_tried(
    monkeypatch: pytest.MonkeyPatch, error: type[RehearsalError]
) -> None:
    def check(*given: Any, **options: Any) -> float:
        raise error("there is no room")

    monkeypatch.setattr(before_long, "check_run", check)
    said: list[str] = []
    context: Any = type(
        "Run", (), {"config": RunConfig(), "stop": None, "say": staticmethod(said.append)}
    )
    assert before_long.check_before_long("export")(context, "training", 7200.0) is None
    assert said[1:] == ["the steps were not tried: there is no room; training goes on"]
    # Nothing else needed the memory.
    if error is EndedApartError:
        with pytest.raises(EndedApartError):
            before_long.check_before_long("export")(context, "preparation", 7200.0)


def test_a_process_that_ends_at_its_start_has_no_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(apart, "_answer", os._exit)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(EndedApartError, match=r"the process ended with status 1$"):
        run_apart(f"{__name__}:die", RunConfig(), stop=StopRequest())


def test_what_cannot_be_given_to_another_process_is_not_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(UntriedError, match="no process could be given the run: "):
        run_apart(f"{__name__}:die", RunConfig(), stop=StopRequest(), until=lambda: None)
    assert not list(tmp_path.iterdir())


def test_a_long_preparation_begins_after_a_check(
    twofold: Twofold, two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*given: Any, **options: Any) -> float:
        raise RehearsalError("tried on one batch, export fails: no space left")

    monkeypatch.setattr(runner, "expected_preparation", lambda *given: 700.0)
    monkeypatch.setattr(before_long, "check_run", check)
    ended = twofold(*short_run(two_classes, tmp_path / "work"))
    assert ended.status == 1
    assert "preparation is expected to take 0:11:40" in ended.out
    assert "export fails: no space left" in ended.error
    assert not (tmp_path / "work").exists()


def die(config: RunConfig, folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(config: RunConfig, folder: Path, *, key: str) -> None:
    raise SettingsError(f"{key}={config.name} will not do in {folder.parent.name}")


@pytest.mark.long
def test_a_process_that_is_killed_says_so_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RehearsalError, match="was killed, as one is that needs more memory"):
        run_apart(f"{__name__}:die", RunConfig(), stop=StopRequest())
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_process_of_its_own_takes_every_step_and_leaves_nothing(
    twofold: Twofold, two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = tmp_path / "trial"
    trial.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(trial))
    with pytest.raises(SettingsError, match=f"name=run will not do in {trial.name}"):
        run_apart(f"{__name__}:refuse", RunConfig(), stop=StopRequest(), key="name")
    ended = twofold(*short_run(two_classes, tmp_path / "work"), "--check")
    assert ended.status == 0, ended.error
    assert "all steps to export passed on one batch" in ended.out
    assert not list(trial.iterdir())
    assert not (tmp_path / "work").exists()
