"""MLflow and Weights & Biases keep what a training tells them, over a kill -9; nothing is sent.

`make test-trackers` makes the environment that has both.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.conftest import SHORT, save_images

VARIABLE = "TWOFOLD_TRACKERS_PYTHON"
PYTHON = os.environ.get(VARIABLE)
CALLBACKS = (
    "twofold.pipeline.callbacks.mlflow_callback:MLflowCallback",
    "twofold.pipeline.callbacks.wandb_callback:WandbCallback",
    "tf_killing:Kill",
)
# Ends the process once, when the second epoch is logged and not yet in a checkpoint.
KILLING = """
import os, signal
from pathlib import Path

class Kill:
    def on_epoch(self, interval):
        if interval["epoch"] == 2 and not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = pytest.mark.skipif(
    PYTHON is None,
    reason=f"takes minutes: `make test-trackers` makes an environment with MLflow and wandb, which "
    f"{VARIABLE} names",
)


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    surroundings = {
        **os.environ,
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_EXPERIMENT_NAME": "tried",
    }
    return subprocess.run(
        [str(PYTHON), *arguments],
        cwd=folder,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a training that was killed and gone on with, with both trackers."""
    folder = tmp_path_factory.mktemp("tracked")
    save_images(folder / "images" / "cat", 20)
    save_images(folder / "images" / "dog", 20)
    (folder / "tf_killing.py").write_text(KILLING)
    settings = (
        *SHORT,
        "data.path=images",
        "training.epochs=3",
        "training.log_every=2",
        "training.checkpoint_every_epochs=1",
        f"training.callbacks=[{','.join(CALLBACKS)}]",
    )
    options = [part for setting in settings for part in ("--set", setting)]
    command = ("-m", "twofold", "run", "folder_simclr", "--name", "tracked", *options)
    killed = _run(folder, *command, "--until", "pretrain")
    assert killed.returncode == -9, killed.stderr
    finished = _run(folder, *command, "--until", "pretrain")
    assert finished.returncode == 0, finished.stderr
    assert "missed what came after its failure" not in finished.stdout
    return folder


@pytest.fixture(scope="module")
def logged(folder: Path) -> list[Any]:
    """Step and loss of each interval, as metrics.jsonl has them."""
    path = folder / "twofold-runs" / "tracked" / "metrics.jsonl"
    read = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in read] == sorted({line["step"] for line in read})
    return [[line["step"], pytest.approx(line["loss"])] for line in read]


@pytest.fixture(scope="module")
def kept(folder: Path) -> dict[str, Any]:
    script = str(Path(__file__).with_name("read_back.py"))
    read = _run(folder, script, str(folder / "twofold-runs" / "tracked" / "wandb"))
    assert read.returncode == 0, read.stderr
    found: dict[str, Any] = json.loads(read.stdout.splitlines()[-1])
    return found


def test_mlflow_has_one_finished_run_with_each_step_once(
    kept: dict[str, Any], logged: list[Any]
) -> None:
    (run,) = kept["mlflow"]
    assert (run["name"], run["status"]) == ("tracked pretrain", "FINISHED")
    assert run["loss"] == logged
    assert run["parameters"]["training.epochs"] == "3"
    assert run["parameters"]["method.name"] == "simclr"
    assert run["artifacts"] == ["configuration.yaml"]


def test_wandb_has_both_attempts_under_one_id(kept: dict[str, Any], logged: list[Any]) -> None:
    killed, resumed = kept["wandb"]
    assert killed["id"] == resumed["id"]
    assert resumed["project"] == "twofold"
    assert resumed["configuration"]["training"]["epochs"] == 3
    assert (killed["ended"], resumed["ended"]) == (False, True)
    assert resumed["loss"] == [point for point in logged if point[0] > 4]
    # wandb writes some seconds late, and a kill costs it those.
    assert killed["loss"] == logged[: len(killed["loss"])]
