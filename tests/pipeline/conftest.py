"""Folders of small images, and the command line in this process."""

import json
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from tests.op_by_op import op_by_op, run_op_by_op
from twofold.components.evaluation.plots import run_plots
from twofold.components.export.proof import proof, proof_loader
from twofold.pipeline.cli.app import main
from twofold.pipeline.steps.plots import training_plots

# A run on a folder of small images, as short as it can be.
SHORT = (
    "data.image_size=16",
    "encoder.name=core",
    "encoder.filters=[4]",
    "encoder.units=[8]",
    "encoder.pooling=average",
    # The cheapest of the views that differ by image.
    "views.policy=nnclr",
    "training.batch_size=8",
    # Compiling the views takes seconds.
    "training.compile=none",
    "training.epochs=1",
    "training.warmup_epochs=0",
    "evaluation.probe_epochs=1",
)


# Of a short run in which nothing is trained: how long is then refused, but for the default.
UNTRAINED = ("method={name: random}", "training.epochs=60")


class Outcome(NamedTuple):
    """What a command answered."""

    status: int
    out: str
    error: str


def short_run(path: Path, workdir: Path, *settings: str) -> list[str]:
    """Gives the arguments of a short run on a folder."""
    chosen = (*SHORT, f"data.path=['{path}']", *settings)
    options = [part for setting in chosen for part in ("--set", setting)]
    return ["run", "folder_simclr", "--workdir", str(workdir), *options]


def save_images(folder: Path, count: int, *, size: int = 16) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(folder.name)).integers(0, 256, (count, size, size, 3))
    for index, image in enumerate(pixels.astype(np.uint8)):
        Image.fromarray(image).save(folder / f"{index:03}.jpg")


@pytest.fixture(autouse=True)
def _other_tests_stay_free_of_determinism() -> Iterator[None]:
    """Runs are deterministic, as they are for users; other tests share their process here."""
    yield
    if "tensorflow" in sys.modules:
        pkgutil.resolve_name("tensorflow.python.framework.config:disable_op_determinism")()


@pytest.fixture(autouse=True, scope="module")
def _steps_run_op_by_op() -> Iterator[None]:
    """The few steps of a short run take half of the time that tracing one does.

    Steps are traced in what runs in a process of its own, in all tests of `components`, and where a
    test uses ``traced``.
    """
    with op_by_op():
        yield


@pytest.fixture
def traced() -> Iterator[None]:
    """Traces functions, and compiles those that are to be, as for users."""
    run_op_by_op(False)
    yield
    run_op_by_op(True)


@pytest.fixture(autouse=True, scope="module")
def _pictures_are_small() -> Iterator[None]:
    """A run draws views of two images, and looks for no best 256 colours; tests of plots do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_plots, "_in_few_colours", lambda image: image)
        patch.setattr(training_plots, "_IMAGES", 2)
        yield


def prove_here(patch: pytest.MonkeyPatch) -> None:
    """Lets an export ask its model in this process, and for embeddings and classes alone.

    A fresh process takes seconds to import TensorFlow, and the signatures of views as long to
    answer as all others together. The tests of the proof have such processes and ask every
    signature, and so do those of whole runs by the installed command.
    """
    asked = {"serving_default", "embed", "classify"}
    check = proof_loader.Proof._check_of
    patch.setattr(
        proof_loader.Proof,
        "_check_of",
        lambda self, name: check(self, name) if name in asked else lambda: None,
    )
    patch.setattr(proof_loader, "_MOST_CALLS", 1)

    def ask(script: str, folder: Path, version: Path) -> dict[str, Any]:
        if script == "c_api":
            return {"differences": {}}
        proof_loader.main(folder)
        answers: dict[str, Any] = json.loads((folder / f"{script}.json").read_text())
        assert not answers["failures"], version
        return answers

    patch.setattr(proof, "_run", ask)


@pytest.fixture
def proved_here(monkeypatch: pytest.MonkeyPatch) -> None:
    prove_here(monkeypatch)


@pytest.fixture
def twofold(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a command in this process."""

    def call(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        captured = capsys.readouterr()
        return Outcome(int(end.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 images in two class folders."""
    folder = tmp_path_factory.mktemp("images")
    save_images(folder / "cat", 20)
    save_images(folder / "dog", 20)
    return folder
