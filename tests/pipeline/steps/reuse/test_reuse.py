"""Finished steps are reused when their inputs, their code and their files are those of now."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from twofold.components.data.store.manifest import read_code
from twofold.components.errors import DataError, OtherCodeError, UsageError
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.runs import code_fingerprint
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import RunDirectory, fingerprint
from twofold.pipeline.steps import prepare, runner
from twofold.pipeline.steps.reuse import fingerprints, outputs
from twofold.pipeline.steps.runner import run_one_step, run_steps

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
            path.write_text(json.dumps({"fingerprint": context.run.fingerprint_of(self.name)}))
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


class _Runs:
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

    @property
    def superseded(self) -> list[str]:
        return sorted(
            path.relative_to(self.path / "superseded").as_posix().partition("/")[2]
            for path in self.path.glob("superseded/**/*")
            if path.is_file()
        )


def _load_step(name: str) -> runner.Step:
    return prepare if name == "prepare" else _Fake(name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of which every step is finished, and its data set."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_load_step", _load_step)
        assert _Runs(folder)() == ["prepare", "pretrain", "evaluate", "export"]
    return folder


@pytest.fixture
def runs(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: Edit) -> _Runs:
    """A run of its own of which every step is finished."""
    monkeypatch.setattr(runner, "_load_step", _load_step)
    return _Runs(shutil.copytree(finished, tmp_path / "work"))


def test_nothing_is_done_twice(runs: _Runs) -> None:
    assert runs() == []
    assert [line.partition(" (")[0] for line in runs.said] == [
        f"{step}: finished before, reused" for step in runner.STEPS
    ]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (PROBE, "# Faster than it was."),
        (PROBE, '"""It was written anew."""'),
        ("twofold.components.evaluation.plots.run_plots", "COLOUR = 'red'"),
        ("twofold.components.evaluation.plots.classifier_plots", "COLOUR = 'red'"),
        ("twofold.pipeline.steps.plots.training_plots", "IMAGES = 20"),
        ("twofold.pipeline.steps.plots.similarity_plot", "IMAGES = 20"),
        (PROBE, "plot_weights(1, 'weights.png')"),
        ("twofold.components.training.tensorboard", "FLUSHED = True"),
        ("twofold.components.write_errors", "NAMED = True"),
        ("twofold.components.pages.page_template", "STYLE = 'dark'"),
        ("twofold.components.errors", "class NewError(Exception): pass"),
        ("twofold.pipeline.cli.progress_bar", "WIDTH = 3"),
        ("twofold.pipeline.reports.run_report", "PAGE = 'page.html'"),
        ("twofold.pipeline.recipes.quickstart", "EXPECTED = 0.9"),
        ("twofold.components.data.sources.tfds", "OTHER = 'source'"),
    ],
)
def test_what_cannot_change_a_result_invalidates_none(
    module: str, text: str, runs: _Runs, edit: Edit
) -> None:
    edit(module, text)
    assert runs() == []


@pytest.mark.parametrize(
    ("module", "steps"),
    [
        (PROBE, ["evaluate", "export"]),
        (LOOP, ["pretrain", "evaluate"]),
        # The last value of a curve is a metric.
        ("twofold.components.training.training_curves", ["pretrain"]),
        (SHARDS, ["prepare"]),
    ],
)
def test_other_code_is_named_and_nothing_is_touched(
    module: str, steps: list[str], runs: _Runs, edit: Edit
) -> None:
    before = (runs.path / "run.json").read_bytes()
    edit(module, "TOLERANCE = 1e-9")
    with pytest.raises(OtherCodeError) as refusal:
        runs()
    message = str(refusal.value)
    assert str(runs.path) in message
    for step in steps:
        assert f"{step} (changed: {module})" in message
    assert "--reuse" in message
    assert "--update" in message
    assert (runs.path / "run.json").read_bytes() == before


def test_reuse_keeps_the_result_and_records_it(runs: _Runs, edit: Edit) -> None:
    edit(PROBE, "TOLERANCE = 1e-9")
    assert runs("reuse") == []
    assert runs.entry("evaluate")["reused"]["changed"] == [PROBE]
    assert f"evaluate: finished before by other code (changed: {PROBE}), reused" in runs.said
    # The same code need not be accepted twice, and other code has to be.
    assert runs() == []
    edit(PROBE, "TOLERANCE = 1e-8")
    with pytest.raises(OtherCodeError):
        runs()


def test_update_does_it_again_and_keeps_what_was_there(runs: _Runs, edit: Edit) -> None:
    runs.change(evaluate={"seconds": 7000})
    edit(PROBE, "TOLERANCE = 1e-9")
    assert runs("update") == ["evaluate", "export"]
    told = next(line for line in runs.said if "replaces" in line)
    assert told.startswith("evaluate: replaces evaluate (1.9 h), export (0 s); ")
    assert str(runs.path / "superseded") in told
    assert runs.said.index(told) < next(
        n for n, line in enumerate(runs.said) if line.startswith("evaluate: done")
    )
    assert runs.superseded == sorted(
        ["config.yaml", "metrics.json", "run.json", "figures/rsm.png", *MADE["export"]]
    )
    assert runs() == []


def test_an_update_of_training_keeps_the_weights_that_were_there(runs: _Runs, edit: Edit) -> None:
    before = (runs.path / "checkpoints" / "model.json").read_text()
    edit(LOOP, "STEPS = 3")
    assert runs("update") == ["pretrain", "evaluate", "export"]
    kept = next(runs.path.glob("superseded/*/checkpoints/model.json"))
    assert kept.read_text() == before
    every = {name for names in MADE.values() for name in names}
    assert every <= set(runs.superseded)
    assert json.loads((kept.parents[1] / "run.json").read_text())["steps"]["pretrain"]


def test_other_settings_replace_what_they_change_and_reuse_keeps_the_rest(
    runs: _Runs, edit: Edit
) -> None:
    edit(LOOP, "STEPS = 3")
    context = runs.context("reuse")
    context.run.close()
    config = override(CONFIG, ["evaluation.neighbours=3"])
    run = RunDirectory(runs.path, config, {}, update=True)
    said: list[str] = []
    changed = Context(config, run, str(runs.datasets), (), no_progress, said.append, "reuse")
    assert run_steps(changed) == ["evaluate", "export"]
    assert any(line.startswith("pretrain: finished before by other code") for line in said)


def _as_before_code_was_recorded(runs: _Runs) -> None:
    for step in runner.STEPS:
        values = runs.entry(step)["inputs"]
        context = runs.context()
        earlier = {"fingerprint": fingerprints.earlier_fingerprint(step, values)}
        if step in ("pretrain", "evaluate", "export"):
            values = fingerprints.step_values(step, context)
            earlier = {"fingerprint": fingerprints.earlier_fingerprint(step, values)}
        unknown = {"inputs": None, "code": None, "source": None, "files": None}
        runs.change(**{step: earlier | unknown})


def test_a_run_that_did_not_record_its_code_asks_the_same(runs: _Runs) -> None:
    _as_before_code_was_recorded(runs)
    with pytest.raises(OtherCodeError, match="of a version that did not record it"):
        runs()
    assert runs("reuse") == []
    assert runs() == []


OUTPUTS = [
    ("pretrain", "checkpoints/final/weights.index"),
    ("pretrain", "checkpoints/final/weights.data-00000-of-00001"),
    ("evaluate", "embeddings/test.npy"),
    ("export", "saved_model/1/saved_model.pb"),
    ("export", "saved_model/1/variables/variables.index"),
]


@pytest.mark.parametrize(("step", "output"), OUTPUTS)
def test_a_result_that_was_accepted_is_checked_from_then_on(
    step: str, output: str, runs: _Runs
) -> None:
    _as_before_code_was_recorded(runs)
    assert runs("reuse") == []
    os.truncate(runs.path / output, 3)
    assert runs()[0] == step
    assert any(str(runs.path / output) in line for line in runs.said)
    assert runs() == []


@pytest.mark.parametrize(("step", "output"), OUTPUTS)
def test_an_empty_file_is_not_accepted(step: str, output: str, runs: _Runs) -> None:
    _as_before_code_was_recorded(runs)
    os.truncate(runs.path / output, 0)
    assert runs("reuse")[0] == step
    assert f"{step}: {runs.path / output} is empty" in runs.said


def test_damaged_weights_of_other_code_are_made_from_their_own_checkpoint(
    runs: _Runs, edit: Edit
) -> None:
    began_as = runs.entry("pretrain")["fingerprint"]
    edit(LOOP, "STEPS = 3")
    assert runs("reuse") == []
    (runs.path / "checkpoints" / "ckpt-3.index").touch()
    os.truncate(runs.path / "checkpoints" / "final" / "weights.index", 0)
    assert runs()[0] == "pretrain"
    assert (runs.path / "checkpoints" / "ckpt-3.index").exists()
    assert runs.entry("pretrain")["fingerprint"] == began_as
    assert runs.entry("pretrain")["reused"]["changed"] == [LOOP]


def test_a_setting_that_was_added_since_changes_nothing(runs: _Runs) -> None:
    record = json.loads((runs.path / "run.json").read_text())
    for step, section in (("pretrain", "training"), ("evaluate", "evaluation")):
        values = record["steps"][step]["inputs"][section]
        name = next(key for key, value in values.items() if value is None)
        values.pop(name)
        record["configuration"][section].pop(name)
    (runs.path / "run.json").write_text(json.dumps(record))
    assert runs() == []


def _flip_a_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


@pytest.mark.parametrize("step", ["evaluate", "export"])
@pytest.mark.parametrize("how", [Path.unlink, lambda path: os.truncate(path, 3), _flip_a_byte])
def test_a_result_that_lost_a_file_is_made_again(
    step: str, how: Callable[[Path], None], runs: _Runs
) -> None:
    damaged = runs.path / MADE[step][0]
    how(damaged)
    assert runs()[0] == step
    assert str(damaged) in runs.said[runner.STEPS.index(step)]
    assert runs() == []


def test_a_small_file_is_read_whatever_its_time_says_and_a_large_one_that_was_written_since(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "embeddings"
    folder.mkdir()
    small, large = folder / "a.npy", folder / "b.npy"
    small.write_bytes(b"1")
    large.write_bytes(bytes(2 << 20))
    recorded = outputs.describe_files(tmp_path, "evaluate")

    os.utime(large, ns=(1, 1))
    assert outputs.changed_files(tmp_path, "evaluate", recorded) == []
    _flip_a_byte(large)
    (found,) = outputs.changed_files(tmp_path, "evaluate", recorded)
    assert found == f"{large} is not as it was written: its checksum differs"
    time = small.stat().st_mtime_ns
    _flip_a_byte(small)
    os.utime(small, ns=(time, time))
    assert len(outputs.changed_files(tmp_path, "evaluate", recorded)) == 2
    # As earlier versions recorded them.
    sizes = {name: one["bytes"] for name, one in recorded.items()}
    assert outputs.changed_files(tmp_path, "evaluate", sizes) == []


def test_finished_weights_are_made_again_only_where_that_is_soon_done(runs: _Runs) -> None:
    damaged = runs.path / "checkpoints" / "final" / "weights.index"
    damaged.unlink()
    runs.change(pretrain={"seconds": 7000})
    with pytest.raises(UsageError, match=r"no checkpoint is left .* 1\.9 h"):
        runs()
    (runs.path / "checkpoints" / "ckpt-3.index").touch()
    assert runs() == ["pretrain", "evaluate", "export"]
    assert damaged.exists()


def test_a_damaged_data_set_is_named_and_left_alone(runs: _Runs) -> None:
    shard = next(runs.datasets.glob("*/train-*.tfrecord"))
    os.truncate(shard, 100)
    with pytest.raises(DataError, match=r"is damaged: .* prepares it again"):
        runs()
    assert any(str(shard) in line for line in runs.said)
    shard.unlink()
    with pytest.raises(DataError, match="is damaged"):
        runs()


def test_a_data_set_that_is_gone_is_prepared_again_and_the_rest_is_kept(runs: _Runs) -> None:
    directory = next(runs.datasets.iterdir())
    directory.rename(runs.datasets.parent / "moved")
    assert runs() == ["prepare"]
    assert directory.is_dir()


def test_a_data_set_of_other_code_is_not_used_in_silence_by_a_new_run(
    runs: _Runs, edit: Edit
) -> None:
    edit(SHARDS, "ALIGNED = True")
    with pytest.raises(OtherCodeError, match=f"was prepared by other code .changed: {SHARDS}"):
        runs(name="second")
    (first,) = runs.datasets.iterdir()
    assert runs("reuse", name="second") == list(runner.STEPS)
    assert list(runs.datasets.iterdir()) == [first]
    assert runs("update", name="third") == list(runner.STEPS)
    second = next(path for path in runs.datasets.iterdir() if path != first)
    assert second.name.startswith(f"{first.name}-")
    assert read_code(first) != read_code(second)
    # Both are kept, and each run goes on with its own.
    assert runs(name="third") == []
    assert runs(name="fourth") == list(runner.STEPS)
    assert len(list(runs.datasets.iterdir())) == 2


@pytest.mark.parametrize("content", [b"\xff", b"[3]", b'{"a": 1}'])
def test_a_damaged_record_of_what_prepared_a_data_set_is_as_none(
    content: bytes, runs: _Runs
) -> None:
    next(runs.datasets.glob("*/code.json")).write_bytes(content)
    with pytest.raises(OtherCodeError, match=r"did not record it.*--reuse.*--update"):
        runs(name="second")


@pytest.mark.parametrize("name", ["metrics.json", "config.yaml"])
@pytest.mark.parametrize("content", [None, b"{}"])
def test_what_the_record_says_too_is_written_again(
    name: str, content: bytes | None, runs: _Runs
) -> None:
    path = runs.path / name
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert runs() == []
    assert path.read_bytes() == before
    assert f"{path} differed from run.json, written again" in runs.said
    assert runs() == []
    assert len(runs.said) == len(runner.STEPS)


def test_one_step_needs_those_before_it_to_be_of_this_code(runs: _Runs, edit: Edit) -> None:
    edit(LOOP, "STEPS = 3")
    with pytest.raises(OtherCodeError):
        run_one_step(runs.context(), "evaluate")
    assert run_one_step(runs.context("reuse"), "evaluate") == []
    assert run_one_step(runs.context(), "evaluate") == []


def test_unfinished_training_of_other_code_is_not_gone_on_with_in_silence(
    runs: _Runs, edit: Edit
) -> None:
    (runs.path / "checkpoints" / "checkpoint").touch()
    runs.change(pretrain={"status": "running"}, evaluate={"status": "failed"})
    began_as = runs.entry("pretrain")["fingerprint"]
    edit(LOOP, "STEPS = 3")
    with pytest.raises(OtherCodeError, match="pretrain"):
        runs()
    assert runs("reuse")[0] == "pretrain"
    assert runs.entry("pretrain")["fingerprint"] == began_as
    assert runs.entry("pretrain")["reused"]["changed"] == [LOOP]
    assert not runs.superseded or "checkpoints/model.json" not in runs.superseded


def test_what_an_update_replaces_is_listed_with_all_that_follows(runs: _Runs, edit: Edit) -> None:
    runs.change(pretrain={"seconds": 7000}, evaluate={"seconds": 600})
    edit(LOOP, "STEPS = 3")
    with pytest.raises(OtherCodeError, match=r"took: pretrain 1\.9 h, evaluate 10 min, export 0 s"):
        runs()


def test_steps_on_another_data_set_are_not_those_of_the_run(runs: _Runs, edit: Edit) -> None:
    runs.change(pretrain={"seconds": 7000})
    (runs.path / "report.html").touch()
    edit(SHARDS, "ALIGNED = True")
    context = runs.context("update")
    assert run_steps(context, "prepare") == ["prepare"]
    assert context.run.metrics() == runs.entry("prepare")["metrics"]
    context.run.close()
    assert any(
        line.startswith("prepare: replaces pretrain (1.9 h), evaluate") for line in runs.said
    )
    assert list(json.loads((runs.path / "run.json").read_text())["steps"]) == ["prepare"]
    assert {"checkpoints/model.json", "report.html"} <= set(runs.superseded)
    assert not (runs.path / "checkpoints").exists()
    assert not (runs.path / "report.html").exists()


def test_training_on_the_same_images_of_other_code_is_kept_or_asked_about(
    runs: _Runs, edit: Edit
) -> None:
    prepared_by = runs.entry("prepare")["code"] | {SHARDS: "0" * 16}
    runs.change(prepare={"code": prepared_by})
    assert runs.entry("pretrain")["inputs"]["dataset_code"]
    for other_code in ("ask", "reuse", "ask"):
        if other_code == "ask" and "reused" not in runs.entry("pretrain"):
            with pytest.raises(OtherCodeError):
                runs(other_code)
        else:
            assert runs(other_code) == []
    assert runs.superseded == []


def test_other_images_replace_no_finished_training_without_being_asked_to(
    runs: _Runs,
) -> None:
    values = runs.entry("prepare")["inputs"] | {"source": "other images"}
    runs.change(prepare={"inputs": values}, pretrain={"seconds": 7000})
    for other_code in ("ask", "reuse"):
        with pytest.raises(OtherCodeError, match=r"other images .*--name, .*--update.* 1\.9 h"):
            runs(other_code)
    assert runs.entry("pretrain")["status"] == "done"


def test_a_data_set_keeps_its_name_between_versions(runs: _Runs) -> None:
    """As it was named when its code was not yet known."""
    values = {"step": "prepare-1", **runs.entry("prepare")["inputs"]}
    names = [path.name for path in runs.datasets.iterdir()]
    assert names == [f"dsprites-{fingerprint(values)}"]
