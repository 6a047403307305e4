"""Every kind of training through the command line: what it leaves, says and refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.pipeline.conftest import SHORT, UNTRAINED, Outcome, save_images, short_run
from tests.strategies import strategy_of
from twofold.components import distribute
from twofold.components.encoders.convolutional.core_settings import CoreSettings
from twofold.components.evaluation.confidence_intervals import binomial_interval
from twofold.components.methods.labelled.self_training_settings import SelfTrainingSettings
from twofold.components.training.method import MethodInput
from twofold.pipeline.config import RunConfig, load_yaml, override
from twofold.pipeline.models.method_builder import build_method
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps import training_remarks
from twofold.pipeline.steps.plots import training_plots

Twofold = Callable[..., Outcome]

PROJECTOR = ("method.projector=[8, 8]",)
PREDICTOR = (*PROJECTOR, "method.predictor=[4]")
# Patches of an encoder that takes them.
PATCHES = (
    "encoder={name: bag_of_patches, patch: 8, stride: 4, filters: [4, 4], features: 6}",
    "views={policy: patches, side: 8}",
)
DICTIONARY = "encoder={name: patch_dictionary, patch: 4, atoms: 5, grid: 2}"
K_MEANS = ("method.name=k_means", "method.patches=4", DICTIONARY)
EMP_SSL = ("method.name=emp_ssl", "method.patches=3", "method.projector=[8]", *PATCHES)


def _pretrain(twofold: Twofold, images: Path, workdir: Path, *settings: str) -> Outcome:
    # Beside the images, so that tests of the same ones share a data set.
    datasets = ("--datasets", str(images.parent / "datasets"))
    return twofold(*short_run(images, workdir, *settings), *datasets, "--until=pretrain")


def _metrics(workdir: Path) -> dict[str, float]:
    values: dict[str, float] = json.loads((workdir / "folder_simclr/metrics.json").read_text())
    return {name: value for name, value in values.items() if not name.startswith("prepare/")}


def _training_metrics(workdir: Path) -> set[str]:
    """The names of finite metrics of training, but for those that every training has."""
    metrics = {
        name.removeprefix("pretrain/"): value
        for name, value in _metrics(workdir).items()
        if name.startswith("pretrain/")
    }
    assert all(np.isfinite(value) for value in metrics.values())
    common = {"loss", "feature_std", "online_probe/loss", "online_probe/accuracy", "gradient_norm"}
    held_out = {"test/loss", "test/accuracy", "images_per_second"}
    geometry = {f"feature_{name}" for name in ("deviation", "effective_rank", "uniformity")}
    assert common | held_out | geometry <= metrics.keys()
    tracked = tuple(name.removeprefix("feature") for name in geometry)
    return {name for name in metrics if not name.endswith(tracked)} - common - held_out


NNCLR = ("method.name=nnclr", *PROJECTOR)
BYOL = ("method.name=byol", "second_views.policy=byol_b", *PREDICTOR)
ON_PATCHES = ("method.name=simsiam", *PREDICTOR, *PATCHES)
# Methods without labels, and what they tell of themselves.
METHODS: list[tuple[tuple[str, ...], set[str]]] = [
    (NNCLR, {"contrastive_accuracy", "correlation_accuracy"}),
    (("method.name=barlow_twins", *PROJECTOR), {"correlation_accuracy"}),
    (("method.name=vicreg", *PROJECTOR), {"invariance", "variance", "covariance"}),
    (BYOL, set()),
    (("method.name=simsiam", *PREDICTOR), set()),
    (EMP_SSL, {"agreement"}),
    (K_MEANS, {"atoms_used"}),
    (("method.name=simsiam", *PREDICTOR, DICTIONARY), set()),
    (ON_PATCHES, set()),
    (("method.negatives=other_view",), {"contrastive_accuracy"}),
    (("method.negatives=2",), {"contrastive_accuracy"}),
]


def _settings_of(value: object) -> str:
    return value[0].partition("=")[2] if isinstance(value, tuple) else ""


@pytest.mark.parametrize(("settings", "expected"), METHODS, ids=_settings_of)
def test_a_method_without_labels_has_a_loss_and_says_how_it_does(
    settings: tuple[str, ...], expected: set[str]
) -> None:
    config = override(RunConfig(), [*SHORT, *settings])
    method = build_method(config, (16, 16, 3), 2, steps=4)
    output = method(
        MethodInput(
            images=tf.constant(np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)),
            labels=tf.fill([8], -1),
            keys=tf.cast(tf.range(8), tf.uint32),
            step=tf.constant(0, tf.int64),
        )
    )
    assert output.metrics.keys() == expected
    assert all(np.isfinite(value) for value in (output.loss, *output.metrics.values()))
    assert output.features.shape[0] == 8


# Of the other methods the tests of the methods train the same parts by the same loop.
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(*one, marks=[] if one[0] in (NNCLR, BYOL, ON_PATCHES) else [pytest.mark.long])
        for one in METHODS
    ],
    ids=_settings_of,
)
def test_a_method_without_labels_trains_and_says_how_it_does(
    settings: tuple[str, ...],
    expected: set[str],
    twofold: Twofold,
    two_classes: Path,
    tmp_path: Path,
) -> None:
    ended = _pretrain(twofold, two_classes, tmp_path, *settings)
    assert ended.status == 0, ended
    assert _training_metrics(tmp_path) == expected
    run = tmp_path / "folder_simclr"
    assert (run / "checkpoints/final/weights.index").exists()
    with Image.open(run / "figures/views.png") as picture:
        assert picture.size[0] > 100


def test_what_a_method_leaves_to_be_chosen_is_said_and_recorded_with_the_reason(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    ended = _pretrain(twofold, two_classes, tmp_path, "method={name: moco}")
    assert ended.status == 0, ended
    run = tmp_path / "folder_simclr"
    record = json.loads((run / "run.json").read_text())
    chosen = record["steps"]["pretrain"]["details"]["automatic"]
    # 8 features; a batch of 8, of which a tenth of 32 images would hold no half.
    assert {key: one["value"] for key, one in chosen.items()} == {
        "projector": [8, 8],
        "queue_size": 8,
        "momentum": 0.99,
        "batch_norm_groups": 1,
    }
    for key, one in chosen.items():
        assert (
            f"method.{key}={json.dumps(one['value'])}: {one['reason']}" in ended.out + ended.error
        )
    described = json.loads((run / "checkpoints/model.json").read_text())
    assert described["automatic"] == chosen
    assert "contrastive_accuracy" in " ".join(_metrics(tmp_path))


def test_a_queue_of_more_rows_than_images_is_refused(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    settings = ("method={name: moco}", "method.queue_size=65536")
    ended = _pretrain(twofold, two_classes, tmp_path, *settings)
    assert ended.status == 2
    assert "method.queue_size=65536 is more than the" in ended.error


@pytest.mark.usefixtures("proved_here")
def test_an_encoder_of_patches_is_measured_on_whole_images(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    arguments = short_run(two_classes, tmp_path, *EMP_SSL)
    ended = twofold(*arguments)
    assert ended.status == 0, ended
    run = tmp_path / "folder_simclr"
    assert (run / "saved_model/1/saved_model.pb").is_file()
    embeddings = np.load(run / "embeddings/test.npy")
    assert embeddings.shape[1] == 6
    assert np.isfinite(embeddings).all()
    assert _training_metrics(tmp_path) == {"agreement"}
    metrics = _metrics(tmp_path)
    assert -1 <= metrics["pretrain/agreement"] <= 1
    with Image.open(run / "figures/views.png") as picture:
        assert picture.size[0] > 100
    assert {"linear_probe/test_accuracy", "embedding/alignment"} <= set(metrics)


def test_a_vae_leaves_a_picture_of_its_reconstructions(
    twofold: Twofold, two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_plots, "_IMAGES", 3)
    settings = ("method.name=vae", "method.latent=4", "views.policy=none")
    ended = twofold(*short_run(two_classes, tmp_path, *settings), "--until=pretrain")
    assert ended.status == 0, ended
    metrics = _metrics(tmp_path)
    parts = metrics["pretrain/reconstruction"] + metrics["pretrain/kl"]
    assert metrics["pretrain/loss"] == pytest.approx(parts, rel=1e-5)
    with Image.open(tmp_path / "folder_simclr/figures/reconstructions.png") as picture:
        of_all = picture.size[0]
    run, out = str(tmp_path / "folder_simclr"), tmp_path / "two.png"
    ended = twofold("reconstructions", run, "--image=1", "--image=0", f"--out={out}")
    assert (ended.status, ended.out) == (0, f"2 images in {out}\n"), ended
    with Image.open(out) as picture:
        assert picture.size[0] < of_all
    ended = twofold("reconstructions", run, "--image=cat/none.jpg")
    assert ended.status == 2
    assert "--image cat/none.jpg: the split test has no such image: expected a num" in ended.error


@pytest.mark.usefixtures("proved_here")
def test_a_dictionary_is_drawn_exported_and_fine_tuned(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    fine_tuning = ("evaluation.finetune_epochs=1", "evaluation.finetune_batch_size=4")
    ended = twofold(*short_run(two_classes, tmp_path, *K_MEANS, *fine_tuning))
    assert ended.status == 0, ended
    run = tmp_path / "folder_simclr"
    with Image.open(run / "figures/dictionary.png") as picture:
        assert picture.size[0] > 100
    assert np.load(run / "embeddings/test.npy").shape[1] == 2 * 2 * 5
    assert (run / "saved_model/1/saved_model.pb").is_file()
    assert _training_metrics(tmp_path) == {"atoms_used"}
    assert 0 <= _metrics(tmp_path)["finetune/test_accuracy"] <= 1


def test_supervised_training_keeps_the_best_weights_and_stops_early(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    ended = _pretrain(
        twofold,
        two_classes,
        tmp_path,
        "method.name=supervised",
        "data.validation_share=0.3",
        "training.epochs=40",
        # Weights that hardly move do not improve.
        "training.learning_rate=1e-12",
        "training.early_stopping.patience=2",
        "training.early_stopping.metric=accuracy",
        "training.plateau.patience=1",
    )
    assert ended.status == 0, ended
    run = tmp_path / "folder_simclr"
    record = json.loads((run / "run.json").read_text())
    # The first epoch is the best, and two more show no better.
    assert record["steps"]["pretrain"]["details"]["steps"] <= 3 * 3
    assert (run / "checkpoints/best/weights.index").exists()
    metrics = _metrics(tmp_path)
    assert {"pretrain/validation/accuracy", "pretrain/accuracy"} <= set(metrics)
    assert not any("probe" in name for name in metrics)
    assert [metrics[f"classifier/test_accuracy{end}"] for end in ("_low", "", "_high")] in [
        pytest.approx([low, count / 7, high])
        for count in range(8)
        for low, high in [binomial_interval(count, 7)]
    ]


def test_self_training_makes_a_teacher_once_and_then_a_student(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    settings = (
        "method.name=self_training",
        "method.teacher.training.batch_size=8",
        "method.teacher.training.epochs=1",
        "method.teacher.training.averaging.kind=swa",
        "method.teacher.training.averaging.period_steps=1",
        "method.teacher.encoder.name=core",
        "method.teacher.encoder.filters=[4]",
        "method.teacher.encoder.units=[6]",
        "data.label_share=0.5",
    )
    assert _pretrain(twofold, two_classes, tmp_path, *settings).status == 0
    run = tmp_path / "folder_simclr"
    assert list((run / "tensorboard-teacher").iterdir())
    teacher = run / "teacher/final/weights.index"
    made = teacher.stat().st_mtime_ns
    metrics = _metrics(tmp_path)
    loss = (metrics["pretrain/cross_entropy"] + metrics["pretrain/consistency"]) / 2
    assert metrics["pretrain/loss"] == pytest.approx(loss, rel=1e-5)
    for who in ("teacher", "classifier"):
        low, accuracy, high = (
            metrics[f"{who}/test_accuracy{end}"] for end in ("_low", "", "_high")
        )
        assert low <= accuracy <= high
    config = load_yaml(run / "config.yaml")
    assert isinstance(config.method, SelfTrainingSettings)
    assert isinstance(config.method.teacher.encoder, CoreSettings)
    assert config.method.teacher.encoder.units == (6,)

    again = (*settings, "method.confidence=0.4", "method.squared_temperature=true")
    arguments = short_run(two_classes, tmp_path, *again)
    assert twofold(*arguments, "--until=pretrain", "--update").status == 0
    assert teacher.stat().st_mtime_ns == made, "the teacher of the same inputs is used again"
    assert _metrics(tmp_path) != metrics


def test_an_untrained_encoder_can_be_measured(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    arguments = short_run(two_classes, tmp_path, *UNTRAINED)
    ended = twofold(*arguments, "--until=evaluate")
    assert ended.status == 0, ended
    assert "linear_probe/test_accuracy" in _metrics(tmp_path)
    assert not any(name.startswith("pretrain/") for name in _metrics(tmp_path))


@pytest.mark.usefixtures("traced")
def test_labelled_and_unlabelled_streams_share_a_step(
    twofold: Twofold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests of this process have strategies of their own, from which this one keeps apart.
    monkeypatch.setattr(distribute, "make_strategy", strategy_of)
    for name, count in (("train/cat", 6), ("train/dog", 6), ("unlabelled", 24), ("test/cat", 4)):
        save_images(tmp_path / "images" / name, count)
    ended = _pretrain(
        twofold,
        tmp_path / "images",
        tmp_path / "work",
        "training.labelled_batch_size=2",
        "probe_views.policy=simclr_weak",
        "training.replicas=2",
        "training.batch_size=10",
    )
    assert ended.status == 0, ended
    record = json.loads((tmp_path / "work/folder_simclr/run.json").read_text())
    details = record["steps"]["pretrain"]["details"]
    assert (details["steps"], details["replicas"]) == (24 // 8, 2)
    # By itself on CPUs, and as it is for users.
    assert details["deterministic"] is True


def test_accumulation_says_that_it_adds_no_negatives(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    ended = _pretrain(
        twofold, two_classes, tmp_path, "training.accumulate=2", "training.clip_norm=1.0"
    )
    assert ended.status == 0, ended
    assert "see 4 images at a time, not 8; accumulation adds no negatives" in ended.out
    assert _metrics(tmp_path)["pretrain/gradient_norm"] > 0


@pytest.mark.parametrize(
    ("instructions", "precision", "said"),
    [
        ([], "bfloat16", True),
        (["amx_bf16"], "bfloat16", False),
        (None, "bfloat16", False),
        ([], "float32", False),
    ],
)
def test_bfloat16_on_a_processor_without_instructions_for_it_is_remarked_on(
    instructions: list[str] | None,
    precision: str,
    said: bool,
    twofold: Twofold,
    two_classes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training_remarks, "bfloat16_instructions", lambda: instructions)
    devices = tf.config.list_logical_devices
    monkeypatch.setattr(
        tf.config, "list_logical_devices", lambda kind=None: [] if kind == "GPU" else devices(kind)
    )
    ended = _pretrain(
        twofold,
        two_classes,
        tmp_path,
        *UNTRAINED,
        "views.policy=none",
        f"training.precision={precision}",
        # Which is in that precision, and comes later.
        "evaluation.finetune_epochs=1",
    )
    assert ended.status == 0, ended
    assert ("float32 may be several times as fast" in ended.out) == said


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (292, "1 step an epoch: 36 of 292 training images fill no batch of 256 and are left out"),
        (600, "2 steps an epoch: 88 of 600 training images"),
        (512, None),
        (2_600, None),
    ],
)
def test_images_that_fill_no_batch_are_remarked_on_where_they_may_be_many(
    images: int, said: str | None
) -> None:
    told: list[str] = []
    config = override(RunConfig(), ["training.batch_size=256"])
    context = SimpleNamespace(config=config, say=told.append)
    training_remarks.remark_on_batches(cast("Context", context), images)
    assert [line[: len(said or "")] for line in told] == ([] if said is None else [said])


def test_a_teachers_bfloat16_is_remarked_on_by_its_own_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training_remarks, "bfloat16_instructions", list)
    settings = ["method.name=self_training", "method.teacher.training.precision=bfloat16"]
    said: list[str] = []
    context = SimpleNamespace(config=override(RunConfig(), settings), say=said.append)
    training_remarks.remark_on_training(cast("Context", context))
    (remark,) = said
    assert remark.startswith("method.teacher.training.precision=bfloat16: this processor")


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    "settings",
    [
        # Of what does not exclude each other as much as can be, since each run takes seconds.
        ("precision=bfloat16", "optimizer=lars", "averaging.kind=ema"),
        ("precision=float16", "optimizer=lamb", "rate_scaling=sqrt"),
        ("compile=step",),
        ("compile=views",),
    ],
    ids=", ".join,
)
def test_settings_of_training_are_taken(
    settings: tuple[str, ...], twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    arguments = short_run(two_classes, tmp_path, *(f"training.{one}" for one in settings))
    ended = twofold(*arguments, "--until=evaluate")
    assert ended.status == 0, ended
    embeddings = np.load(tmp_path / "folder_simclr/embeddings/test.npy")
    assert embeddings.dtype == np.float32
    assert np.isfinite(embeddings).all()


def test_after_an_epoch_no_more_held_out_images_are_looked_at_than_asked_for(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    settings = ("method.name=supervised", "training.validation_images=3")
    ended = twofold(*short_run(two_classes, tmp_path, *settings), "--until=pretrain")
    assert ended.status == 0, ended
    metrics = _metrics(tmp_path)
    right = 3 * metrics["pretrain/test/accuracy"]
    assert right == pytest.approx(round(right))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("method.name=supervised", "data.path=FLAT"), "method.name=supervised learns from labels"),
        (("method.name=self_training", "data.path=ONE"), "at least two classes"),
        (
            ("training.plateau.patience=1", "training.epochs=3"),
            "training.plateau goes by labelled validation images",
        ),
        (("training.labelled_batch_size=2",), "larger than the 0 training images without a label"),
        (
            ("training.labelled_batch_size=7", "data.label_share=0.1"),
            "training.labelled_batch_size=7 is larger than the",
        ),
        (("training.accumulate=8",), "leaves 1 image for each of 1 replicas"),
        (("method.name=vae", "data.image_size=17"), "17x17"),
    ],
)
def test_what_a_method_cannot_do_is_refused_before_the_first_step(
    settings: tuple[str, ...], words: str, twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    save_images(tmp_path / "flat", 30)
    save_images(tmp_path / "one" / "cat", 30)
    places = {"data.path=FLAT": tmp_path / "flat", "data.path=ONE": tmp_path / "one"}
    given = [f"data.path=['{places[one]}']" if one in places else one for one in settings]
    ended = _pretrain(twofold, two_classes, tmp_path, *given)
    assert ended.status == 2
    assert words in ended.error
    assert not list(tmp_path.glob("folder_simclr/*/final"))
