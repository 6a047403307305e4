"""Real, short runs that train the encoder on with labels."""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.pipeline.conftest import Outcome, short_run
from twofold.components.data.reading.label_subset import keep_labels
from twofold.components.data.store.manifest import load_manifest
from twofold.components.encoders.heads import build_linear_head
from twofold.components.errors import DataError
from twofold.components.evaluation.probes.linear_probe import fit_logistic_regression
from twofold.components.training.loop import Callbacks, run_loop
from twofold.components.training.resuming.weights_files import read_final
from twofold.components.training.training_curves import read_scalars
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.models.build import rebuild_encoder
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.steps.measures import fine_tuning_measure as finetune
from twofold.pipeline.steps.measures.fine_tuning_stage import fine_tune
from twofold.pipeline.training import stage

Twofold = Callable[..., Outcome]
# Without batch statistics, so that inference and training see the same network.
CONV4 = ("encoder.name=conv4", "encoder.width=6", "data.image_size=31")
QUICK = (
    "training.checkpoint_every_epochs=1",
    "evaluation.measures=[]",
    "evaluation.regularisation_sweep=[]",
    "evaluation.neighbour_sweep=[]",
)
TUNED = ("evaluation.finetune_epochs=2", "evaluation.finetune_batch_size=8")
ALL = (
    *TUNED,
    "evaluation.finetune_from_scratch=true",
    "evaluation.finetune_label_fractions=[0.25]",
    "evaluation.label_fraction_seeds=2",
    "evaluation.finetune_views.policy=simclr_weak",
    "evaluation.finetune_layer_decay=0.75",
)
# What objects were told, each by itself: its training, intervals and end.
HEARD: list[list[dict[str, Any]]] = []


class Listening:
    """Hears a training, and fails in its last epoch."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        HEARD.append(self.heard)

    def on_begin(self, training: dict[str, Any]) -> None:
        self.heard.append(training)

    def on_interval(self, interval: dict[str, Any]) -> None:
        self.heard.append(interval)

    def on_epoch(self, interval: dict[str, Any]) -> None:
        if interval["stage"] == "from scratch" and interval["epoch"] == 2:
            raise ConnectionError("no server")

    def on_end(self, end: dict[str, Any]) -> None:
        self.heard.append(end)


LISTENED = f"training.callbacks=['{__name__}:Listening']"
STILL = ("evaluation.finetune_learning_rate=1e-12",)


def arguments(images: Path, workdir: Path, *settings: str) -> list[str]:
    given = [one for one in short_run(images, workdir) if not one.startswith("encoder.")]
    pairs = [one for one in given if one != "--set"]
    command, options = pairs[:4], pairs[4:]
    chosen = [
        *(one for one in options if not one.startswith("data.image_size")),
        *CONV4,
        *QUICK,
        *settings,
    ]
    return [*command, *(part for one in chosen for part in ("--set", one)), "--until", "evaluate"]


def call(twofold: Twofold, images: Path, workdir: Path, *settings: str) -> dict[str, float]:
    ended = twofold(*arguments(images, workdir, *settings), "--update")
    assert ended.status == 0, ended.error
    metrics: dict[str, float] = json.loads((workdir / "folder_simclr/metrics.json").read_text())
    return {name: value for name, value in metrics.items() if not name.endswith("per_second")}


def only_tuned(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith("finetune")}


@pytest.fixture(scope="module")
def made(
    two_classes: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float]]:
    """A finished run with all that there is, and its measures."""
    from twofold.pipeline.cli.app import main

    workdir = tmp_path_factory.mktemp("work")
    with pytest.raises(SystemExit) as end:
        main(arguments(two_classes, workdir, *ALL, LISTENED))
    assert not end.value.code
    return workdir, json.loads((workdir / "folder_simclr/metrics.json").read_text())


@pytest.fixture
def work(made: tuple[Path, dict[str, float]], tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(made[0], tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was trained, in order."""
    started: list[str] = []

    def watched(context: Any, job: Any, *rest: Any) -> Any:
        started.append(f"{job.start} {job.share:g} {job.draw}")
        return fine_tune(context, job, *rest)

    monkeypatch.setattr(finetune, "fine_tune", watched)
    return started


def saved(run: Path) -> tuple[keras.Model, keras.Model, dict[str, Any]]:
    """The fine-tuned encoder and head as a reader of the run directory would open them."""
    description = json.loads((run / "finetuned/model.json").read_text())
    encoder = rebuild_encoder(run / "finetuned")
    head = build_linear_head(encoder.output_shape[-1], len(description["class_names"]), seed=0)
    read_final(run / "finetuned", {"head": head})
    return encoder, head, description


def test_every_measure_and_file_that_was_asked_for(made: tuple[Path, dict[str, float]]) -> None:
    run, metrics = made[0] / "folder_simclr", made[1]
    for prefix in ("finetune", "finetune_scratch"):
        for name in (f"{prefix}/test_accuracy", f"{prefix}/0.25/test_accuracy"):
            assert 0 <= metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"] <= 1
    assert not [name for name in metrics if "best" in name]
    assert (run / "figures/finetune_fractions.png").is_file()
    page = (run / "report.html").read_text(encoding="utf-8")
    assert 'id="finetuning"' in page
    assert "the same network from scratch" in page
    # 2 epochs of 8 of about 32 images; watched on the held-out images, for want of others.
    for folder in ("tensorboard-finetune", "tensorboard-finetune-scratch"):
        curves = read_scalars(run / folder)
        assert {"loss", "accuracy", "test/accuracy"} <= {*curves}
        assert len(curves["test/accuracy"][0]) == 2


def test_callbacks_are_told_of_fine_tuning_with_all_labels(
    made: tuple[Path, dict[str, float]],
) -> None:
    run = made[0] / "folder_simclr"
    assert [heard[0]["stage"] for heard in HEARD] == ["pretrain", "fine-tuned", "from scratch"]
    assert {heard[0]["directory"] for heard in HEARD} == {str(run)}
    assert len({heard[0]["id"] for heard in HEARD}) == 3
    assert not any(" " in heard[0]["id"] for heard in HEARD)
    tuned, scratch = HEARD[1:]
    lines = (run / "metrics-finetune.jsonl").read_text().splitlines()
    assert [one["metrics"]["loss"] for one in tuned[1:-1]] == [
        json.loads(line)["loss"] for line in lines
    ]
    assert tuned[-1]["status"] == "done"
    # It is called no more after a failure, which the record names.
    assert "status" not in scratch[-1]
    record = json.loads((run / "run.json").read_text())["steps"]["evaluate"]
    assert [one["stage"] for one in record["details"]["callback_failures"]] == ["from scratch"]


def test_what_is_kept_is_what_was_measured_and_nothing_more(
    made: tuple[Path, dict[str, float]],
) -> None:
    run, metrics = made[0] / "folder_simclr", made[1]
    encoder, head, description = saved(run)
    assert description["class_names"] == ["cat", "dog"]
    record = json.loads((run / "run.json").read_text())
    dataset = made[0] / "datasets" / record["steps"]["prepare"]["details"]["dataset"]
    images, labels = held_out_images(dataset)
    logits = head(encoder(images.astype(np.float32) / 255)).numpy()
    assert (logits.argmax(axis=1) == labels).mean() == metrics["finetune/test_accuracy"]
    assert {path.name for path in (run / "finetuned").iterdir()} == {
        "final",
        "model.json",
        "result.json",
    }
    for folder in (run / "finetuned-measured").iterdir():
        assert {path.name for path in folder.iterdir()} == {"model.json", "result.json"}


def held_out_images(dataset: Path) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow as tf

    from twofold.components.data.reading.reader import load_split
    from twofold.components.transforms.decode import DecodeRule, decode_pixels, fit_pixels

    rule = DecodeRule(31, 31, load_manifest(str(dataset)).channels)

    def fit(pixels: tf.Tensor) -> tf.Tensor:
        return fit_pixels(pixels, rule)

    split = load_split(
        str(dataset),
        "test",
        decode=lambda contents: fit(decode_pixels(contents, rule)),
        fit=fit,
        size=(31, 31),
        channels=rule.channels,
        cache="memory",
        cache_key="another",
    )
    return np.asarray(split.images[:]), split.labels


def test_a_rerun_trains_only_what_is_new(
    twofold: Twofold, two_classes: Path, work: Path, trainings: list[str]
) -> None:
    call(twofold, two_classes, work, *ALL, "evaluation.rsm_images=20")
    assert trainings == []
    # First weights know of no probe, and of no layers that ought to be spared.
    changed = ("evaluation.finetune_head=linear_probe", "evaluation.finetune_layer_decay=0.5")
    call(twofold, two_classes, work, *ALL, *changed)
    assert {one.split()[0] for one in trainings} == {"fine-tuned"}
    assert len(trainings) == 3


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    twofold: Twofold,
    two_classes: Path,
    work: Path,
    made: tuple[Path, dict[str, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = work / "folder_simclr"
    before = (run / "finetuned/final/weights.data-00000-of-00001").read_bytes()
    for folder in ("finetuned", "finetuned-measured"):
        shutil.rmtree(run / folder)
    settings = (*ALL, "evaluation.rsm_images=20")
    seen: list[int] = []

    def killed(*given: Any) -> Any:
        given_settings, callbacks = given[4], given[5]

        def die(step: int) -> None:
            seen.append(step)
            callbacks.progress(step)
            if step > given_settings.steps_per_epoch:
                raise KeyboardInterrupt

        killing = (*given[:5], Callbacks(callbacks.metrics, die), *given[6:])
        return run_loop(*killing)

    monkeypatch.setattr(stage, "run_loop", killed)
    twofold(*arguments(two_classes, work, *settings), "--update")
    assert list((run / "finetuned").glob("ckpt-*"))
    assert not (run / "finetuned/result.json").exists()
    monkeypatch.setattr(stage, "run_loop", run_loop)
    metrics = call(twofold, two_classes, work, *settings)
    assert only_tuned(metrics) == only_tuned(made[1])
    assert (run / "finetuned/final/weights.data-00000-of-00001").read_bytes() == before


def test_a_head_that_starts_from_the_probe_and_does_not_move_is_the_probe(
    twofold: Twofold, two_classes: Path, work: Path
) -> None:
    settings = (
        *TUNED,
        *STILL,
        "evaluation.finetune_head=linear_probe",
        "evaluation.finetune_label_fractions=[0.5]",
        "evaluation.label_fraction_seeds=2",
    )
    metrics = call(twofold, two_classes, work, *settings)
    assert metrics["finetune/test_accuracy"] == metrics["linear_probe/test_accuracy"]

    # A probe on half of the labels is fitted on these alone.
    run = work / "folder_simclr"
    stored = {
        name: np.load(run / "embeddings" / f"{name}.npy", allow_pickle=False)
        for name in ("train", "train_labels", "train_keys", "test", "test_labels")
    }
    accuracies = []
    for seed in range(2):
        kept = keep_labels(split_of(stored["train_labels"], stored["train_keys"]), 0.5, seed)
        rows = np.flatnonzero(kept.labels >= 0)
        assert len(rows) < len(stored["train"])
        probe = fit_logistic_regression(stored["train"][rows], kept.labels[rows], classes=2)
        accuracies.append(probe.accuracy(stored["test"], stored["test_labels"]))
    assert metrics["finetune/0.5/test_accuracy"] == pytest.approx(np.mean(accuracies))

    encoder, _, _ = saved(run)
    for one, other in zip(
        encoder.weights, rebuild_encoder(run / "checkpoints").weights, strict=True
    ):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-7)


def split_of(labels: np.ndarray, keys: np.ndarray) -> Any:
    from twofold.components.data.reading.split import Split

    count = len(labels)
    images = np.zeros((count, 1, 1, 1), np.uint8)
    return Split(images, labels, keys, np.zeros((count, 0), np.float32), ("cat", "dog"), ())


def test_a_validation_split_chooses_the_best_epoch_and_is_watched(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    metrics = call(twofold, two_classes, tmp_path, *TUNED, "data.validation_share=0.2")
    name = "finetune/best_test_accuracy"
    assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"]
    curves = read_scalars(tmp_path / "folder_simclr/tensorboard-finetune")
    assert "validation/accuracy" in curves
    assert not [tag for tag in curves if tag.startswith("test/")]
    record = json.loads((tmp_path / "folder_simclr/run.json").read_text())
    details = record["steps"]["evaluate"]["details"]["finetune"]
    assert details["chosen_on"] == "validation"


def test_a_rate_that_is_far_too_high_is_named(
    twofold: Twofold, two_classes: Path, work: Path
) -> None:
    rate = "evaluation.finetune_learning_rate=1e38"
    ended = twofold(*arguments(two_classes, work, *TUNED, rate), "--update")
    assert ended.status != 0
    assert "a lower evaluation.finetune_learning_rate, received 1e+38" in " ".join(
        ended.error.split()
    )


def test_images_without_classes_are_refused(made: tuple[Path, dict[str, float]]) -> None:
    (dataset,) = (made[0] / "datasets").glob("folder-*")
    manifest = load_manifest(str(dataset)).model_copy(update={"class_names": ()})
    for settings, refused in ((TUNED, True), ((), False)):
        context = context_of(override(RunConfig(), settings), made[0])
        with (
            pytest.raises(DataError, match=r"finetune_epochs=2 trains on labels: .* found 0")
            if refused
            else contextlib.nullcontext()
        ):
            finetune.check_finetune(context, manifest)


def context_of(config: RunConfig, workdir: Path) -> Context:
    return Context(
        config=config,
        run=RunDirectory(workdir / "none", config, {}, update=True),
        datasets=str(workdir / "datasets"),
        beam_options=(),
        progress=no_progress,
        say=lambda line: None,
    )
