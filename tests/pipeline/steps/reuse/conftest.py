"""Runs whose steps write small files at once, and modules whose source is changed."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.runs import code_fingerprint
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.steps import prepare, runner
from twofold.pipeline.steps.reuse import fingerprints
from twofold.pipeline.steps.reuse.outputs import STEPS
from twofold.pipeline.steps.runner import run_steps

CONFIG = override(RunConfig(), ["data.images=60"])
PROBE = "twofold.components.evaluation.probes.linear_probe"
LOOP = "twofold.components.training.loop"
SHARDS = "twofold.components.data.preparation.write_shards"
MADE = {
    "pretrain": (
        "checkpoints/model.json",
        "checkpoints/final/weights.index",
        "checkpoints/final/weights.data-00000-of-00001",
        "figures/views.png",
    ),
    "evaluate": ("embeddings/test.npy", "figures/rsm.png"),
    "export": ("saved_model/1/saved_model.pb", "saved_model/1/variables/variables.index"),
}


class _Fake:
    """A step that writes small files and counts how often it ran."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, context: Context, details: dict[str, Any]) -> dict[str, float]:
        for name in MADE[self.name]:
            path = context.run.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            entry = context.run.entry(self.name)
            begun = entry.get("training", entry["fingerprint"])
            path.write_text(json.dumps({"fingerprint": begun}))
        if self.name == "pretrain":
            details |= {"steps": 7 * context.config.training.epochs, "steps_per_epoch": 7}
        (context.run.path / "embeddings").mkdir(exist_ok=True)
        index = context.run.path / "embeddings" / "index.json"
        made = {"fingerprint": fingerprints.embedding_fingerprint(context)}
        index.write_text(json.dumps(made))
        return {f"{self.name}/x": 1.0}


Edit = Callable[[str, str], None]


@pytest.fixture
def edit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """Appends to the source of a module, as all that read sources see it."""
    added: dict[str, bytes] = {}
    read = code_fingerprint.read_source

    def read_edited(module: str) -> bytes | None:
        source = read(module)
        return source if source is None else source + added.get(module, b"")

    def append(module: str, text: str) -> None:
        added[module] = f"\n{text}\n".encode()
        fingerprints._code.cache_clear()

    monkeypatch.setattr(code_fingerprint, "read_source", read_edited)
    fingerprints._code.cache_clear()
    yield append
    fingerprints._code.cache_clear()


class Runs:
    """Runs of one directory, one after another, as if each were a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.path, self.datasets, self.said = folder / "run", folder / "datasets", [""]

    def context(self, other_code: Any = "ask", *settings: str, name: str = "run") -> Context:
        config, update = override(CONFIG, settings), other_code == "update"
        run = RunDirectory(self.path.with_name(name), config, {}, update=update)
        self.said = []
        return Context(
            config, run, str(self.datasets), (), no_progress, self.said.append, other_code
        )

    def __call__(self, other_code: Any = "ask", *settings: str, name: str = "run") -> list[str]:
        context = self.context(other_code, *settings, name=name)
        try:
            return run_steps(context)
        finally:
            context.run.close()

    def entry(self, step: str) -> dict[str, Any]:
        entry: dict[str, Any] = json.loads((self.path / "run.json").read_text())["steps"][step]
        return entry

    def change(self, **steps: dict[str, Any] | None) -> None:
        """Changes what the record says of steps; None leaves a key out."""
        record = json.loads((self.path / "run.json").read_text())
        for step, values in steps.items():
            entry = record["steps"][step] | (values or {})
            record["steps"][step] = {k: v for k, v in entry.items() if v is not None}
        (self.path / "run.json").write_text(json.dumps(record))

    def forget_code(self) -> None:
        """Makes the record one of before code was part of it."""
        for step in STEPS:
            values = self.entry(step)["inputs"]
            context = self.context()
            earlier = {"fingerprint": fingerprints.earlier_fingerprint(step, values)}
            if step in ("pretrain", "evaluate", "export"):
                values = fingerprints.step_values(step, context)
                earlier = {"fingerprint": fingerprints.earlier_fingerprint(step, values)}
            unknown = {"inputs": None, "code": None, "source": None, "files": None}
            self.change(**{step: earlier | unknown})

    @property
    def superseded(self) -> list[str]:
        return sorted(
            path.relative_to(self.path / "superseded").as_posix().partition("/")[2]
            for path in self.path.glob("superseded/**/*")
            if path.is_file()
        )


def _load_step(name: str) -> runner.Step:
    return prepare if name == "prepare" else _Fake(name)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of which every step is finished, and its data set."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_load_step", _load_step)
        assert Runs(folder)() == ["prepare", "pretrain", "evaluate", "export"]
    return folder


@pytest.fixture
def runs(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: Edit) -> Runs:
    """A run of its own of which every step is finished."""
    monkeypatch.setattr(runner, "_load_step", _load_step)
    return Runs(shutil.copytree(finished, tmp_path / "work"))
