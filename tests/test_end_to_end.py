"""The installed command, from raw images to an HTTP answer."""

import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests import forked
from twofold.components.data.reading.reader import read_encoded
from twofold.components.evaluation.metrics import unknown_names
from twofold.serving.client import EncoderClient

COMMAND = str(Path(sys.executable).with_name("twofold"))
# The same in a process that is forked from one with TensorFlow, which asks its model by itself.
FORKED = [sys.executable, "-m", "tests.pipeline.proved_here"]
SMALL = (
    "data.images=400",
    "training.epochs=4",
    "training.batch_size=80",
    "training.checkpoint_every_epochs=1",
    # Compiling the views takes seconds, and three of these runs train.
    "training.compile=none",
    "evaluation.rsm_images=60",
)


def _arguments(*arguments: str, settings: tuple[str, ...] = SMALL) -> list[str]:
    return [*arguments, *(part for one in settings for part in ("--set", one))]


def _twofold(
    *arguments: str, settings: tuple[str, ...] = SMALL
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *_arguments(*arguments, settings=settings)],
        capture_output=True,
        text=True,
        check=False,
    )


def _forked(*arguments: str, settings: tuple[str, ...] = SMALL) -> subprocess.CompletedProcess[str]:
    return forked.run([*FORKED, *_arguments(*arguments, settings=settings)])


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def run(workdir: Path) -> Path:
    finished = _twofold("run", "quickstart", "--workdir", str(workdir))
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == "", "a run that is well says nothing on standard error"
    assert str(workdir / "quickstart") in finished.stdout
    assert "linear probe" in finished.stdout
    return workdir / "quickstart"


@pytest.fixture(scope="module")
def dataset(run: Path, workdir: Path) -> Path:
    record = json.loads((run / "run.json").read_text())
    name: str = record["steps"]["prepare"]["details"]["dataset"]
    return workdir / "datasets" / name


def test_a_run_leaves_its_record_figures_and_model(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    assert {name: step["status"] for name, step in record["steps"].items()} == {
        "prepare": "done",
        "pretrain": "done",
        "evaluate": "done",
        "export": "done",
    }
    assert record["versions"].keys() >= {"tensorflow", "keras", "apache-beam"}
    assert record["configuration"]["training"]["epochs"] == 4
    metrics = json.loads((run / "metrics.json").read_text())
    assert unknown_names(metrics) == []
    assert metrics["prepare/written"] == 400
    assert 0.2 <= metrics["linear_probe/test_accuracy"] <= 1.0
    assert 0.2 <= metrics["knn/test_accuracy"] <= 1.0
    assert np.isfinite(metrics["pretrain/loss"])
    assert metrics["export/max_difference/serving_default"] <= 1e-4
    assert yaml.safe_load((run / "config.yaml").read_text()) == record["configuration"]
    for picture in ("views", "rsm"):
        assert (run / "figures" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    assert list((run / "tensorboard").iterdir())
    assert (run / "saved_model" / "1" / "saved_model.pb").is_file()
    leftovers = [path for path in run.rglob("*") if "tmp" in path.name]
    assert not leftovers


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[str]:
    with subprocess.Popen(
        [COMMAND, "serve", str(run / "saved_model"), "--rest-port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        greeting = process.stdout.readline()
        yield greeting.split()[-1].partition("/v1/")[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_the_answer_over_http_is_the_offline_embedding(
    run: Path, dataset: Path, server: str
) -> None:
    files = read_encoded(dataset, "test", 8)
    offline = np.load(run / "embeddings" / "test.npy")[:8]
    client = EncoderClient(server)
    np.testing.assert_allclose(client.embed(files), offline, rtol=1e-5, atol=1e-5)
    answers = client.predict_bytes(files)
    np.testing.assert_allclose([sum(one["probabilities"]) for one in answers], 1.0, atol=1e-5)


def test_a_text_file_is_a_clear_refusal_and_the_server_lives(server: str) -> None:
    body = json.dumps({"instances": [{"b64": "aGVsbG8="}]}).encode()
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{server}/v1/models/encoder:predict", body)
    assert refusal.value.code == 400
    assert "expected a JPEG or PNG file" in json.loads(refusal.value.read())["error"]
    assert EncoderClient(server).status()[0]["state"] == "AVAILABLE"


def test_a_rerun_does_nothing(run: Path, workdir: Path) -> None:
    def state() -> dict[Path, int]:
        kept = [path for path in workdir.rglob("*") if path.is_file()]
        rewritten = {"run.json", "metrics.json", "config.yaml"}
        return {path: path.stat().st_mtime_ns for path in kept if path.name not in rewritten}

    before, metrics = state(), (run / "metrics.json").read_bytes()
    finished = _twofold("run", "quickstart", "--workdir", str(workdir))
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("reused") == 4
    assert state() == before
    assert (run / "metrics.json").read_bytes() == metrics


def test_show_is_taken_back_unchanged(run: Path, workdir: Path, tmp_path: Path) -> None:
    shown = _twofold("show", "quickstart").stdout
    path = tmp_path / "my.yaml"
    path.write_text(shown)
    assert _twofold("show", str(path), settings=()).stdout == shown
    finished = _twofold("run", str(path), "--workdir", str(workdir), settings=())
    assert finished.stdout.count("reused") == 4


def test_what_was_deleted_is_made_again(run: Path, workdir: Path) -> None:
    shutil.rmtree(run / "saved_model")
    finished = _forked("run", "quickstart", "--workdir", str(workdir), "--update")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("reused") == 3
    assert (run / "saved_model" / "1" / "saved_model.pb").is_file()


def test_another_configuration_needs_another_name_or_leave(run: Path, workdir: Path) -> None:
    other = (*SMALL, "evaluation.neighbours=5")
    refused = _twofold("run", "quickstart", "--workdir", str(workdir), settings=other)
    assert refused.returncode == 2
    assert "evaluation.neighbours: 20 there, 5 here" in refused.stderr
    assert "--name" in refused.stderr
    assert "--update" in refused.stderr
    updated = _forked(
        "evaluate", "quickstart", "--workdir", str(workdir), "--update", settings=other
    )
    assert updated.returncode == 0, updated.stderr
    arguments = ("run", "quickstart", "--workdir", str(workdir), "--update", "--until", "evaluate")
    back = _forked(*arguments)
    assert back.stdout.count("reused") == 2, "preparation and pretraining do not depend on it"


def test_a_killed_run_resumes_to_the_same_encoder(run: Path, workdir: Path, tmp_path: Path) -> None:
    expected = np.load(run / "embeddings" / "test.npy")
    killed = ("--name", "killed", "--until", "evaluate")
    arguments = ("run", "quickstart", "--workdir", str(workdir), *killed)
    ended = {}
    checkpoints = workdir / "killed" / "checkpoints"
    for number in (signal.SIGTERM, signal.SIGKILL):
        known = {*checkpoints.glob("ckpt-*")}
        process = forked.Forked([*FORKED, *_arguments(*arguments)], tmp_path)
        # Once a checkpoint is there that was not there before.
        while known.issuperset(checkpoints.glob("ckpt-*")):
            assert process.poll() is None, process.text(2)
            time.sleep(0.01)
        process.send(number)
        status = process.wait()
        record = json.loads((workdir / "killed" / "run.json").read_text())
        ended[status] = record["steps"]["pretrain"]
    assert [*ended] == [143, -signal.SIGKILL]
    assert ended[143]["status"] == "interrupted"
    assert ended[143]["error"].startswith("interrupted at step ")
    assert ended[-signal.SIGKILL]["status"] == "running"
    finished = _forked(*arguments)
    assert finished.returncode == 0, finished.stderr
    record = json.loads((workdir / "killed" / "run.json").read_text())["steps"]["pretrain"]
    assert (record["status"], record["attempts"]) == ("done", 3)
    assert record["seconds"] > ended[143]["seconds"]
    np.testing.assert_array_equal(np.load(workdir / "killed" / "embeddings" / "test.npy"), expected)
    assert _intervals(workdir / "killed") == _intervals(run), "each is there once"
    log = (workdir / "killed" / "train.log").read_text()
    assert "interrupted at step" in log
    assert log.count("pretrain: goes on from step") == 2


def _intervals(run: Path) -> list[dict[str, float]]:
    """The logged intervals of a run, without what depends on the time."""
    read = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    timed = ("images_per_second", "wall_time")
    return [{name: line[name] for name in line if name not in timed} for line in read]


def test_one_step_needs_those_before_it(workdir: Path) -> None:
    refused = _twofold("pretrain", "quickstart", "--workdir", str(workdir), "--name", "fresh")
    assert refused.returncode == 1
    assert "twofold prepare" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (workdir / "fresh").exists()
