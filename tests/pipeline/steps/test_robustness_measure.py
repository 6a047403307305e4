"""Accuracy on corrupted images, as a part of a run."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from tests.pipeline.conftest import Outcome, short_run
from twofold.components.data.reading.label_subset import sample_labelled
from twofold.components.data.reading.split import Split
from twofold.components.encoders.heads import build_linear_head
from twofold.components.errors import ConfigError, DataError
from twofold.components.evaluation.embedding import embed
from twofold.components.evaluation.probes.knn import knn_predict
from twofold.components.evaluation.probes.linear_probe import fit_logistic_regression
from twofold.components.evaluation.robustness.published_corruptions import CIFAR10_CLASSES
from twofold.components.training.resuming.weights_files import read_final
from twofold.components.transforms.corruptions.common_corruptions import (
    CORRUPTIONS,
    MAIN,
    SEVERITIES,
)
from twofold.pipeline.cli.app import main
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.models.build import rebuild_encoder
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.steps.measures.robustness_measure import Fitted, measure, plan_robustness
from twofold.pipeline.steps.reuse.fingerprints import step_inputs
from twofold.pipeline.training import prepared_images as images

Twofold = Callable[..., Outcome]

# Enough for every metric there is.
FEW = ("evaluation.robustness=main", "evaluation.corruption_severities=[1, 5]")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images of each of CIFAR-10's classes, each class of a colour of its own."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for number, name in enumerate(CIFAR10_CLASSES):
        (folder / name).mkdir()
        for index in range(5):
            colour = np.array([number * 10, 50 - number * 5, number])
            pixels = random.normal(100, 30, (16, 16, 3)) + colour
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            image.save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def trained(classes: Path, tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A run that is trained, with a classifier of its own."""
    workdir = tmp_path_factory.mktemp("work")
    settings = ("method.name=supervised", "data.test_share=0.4", "evaluation.measures=[]")
    with pytest.raises(SystemExit) as end:
        main([*short_run(classes, workdir, *settings), "--until", "pretrain"])
    assert not end.value.code
    run = workdir / "folder_simclr"
    config = RunConfig.model_validate(json.loads((run / "run.json").read_text())["configuration"])
    directory = RunDirectory(run, config, {})
    return Context(config, directory, str(workdir / "datasets"), (), no_progress, print)


class Evaluated(NamedTuple):
    """What evaluation would hand to the measurement."""

    encoder: keras.Model
    fitted: Fitted
    held_out: Split
    features: np.ndarray


@pytest.fixture(scope="module")
def evaluated(trained: Context) -> Evaluated:
    manifest = trained.manifest()
    encoder = rebuild_encoder(trained.run.path / "checkpoints")
    train, held_out = (images.load(trained, manifest, name) for name in ("train", "test"))
    embeddings = embed(encoder, train.images)
    probe = fit_logistic_regression(embeddings, train.labels, classes=10)
    fitted = Fitted(probe, embeddings, train.labels, neighbours=3)
    return Evaluated(encoder, fitted, held_out, embed(encoder, held_out.images))


def _with(context: Context, *settings: str) -> Context:
    return dataclasses.replace(context, config=override(context.config, settings))


class Measured(NamedTuple):
    """What came of it."""

    metrics: dict[str, float]
    details: dict[str, Any]
    total: int
    shown: list[int]


def _measure(trained: Context, evaluated: Evaluated, *settings: str) -> Measured:
    totals: list[int] = []
    shown: list[int] = []

    @contextlib.contextmanager
    def progress(name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        totals.append(total)
        yield shown.append

    context = dataclasses.replace(_with(trained, *settings), progress=progress)
    plan = plan_robustness(context, context.manifest())
    details: dict[str, Any] = {}
    metrics = measure(
        plan, context, details, evaluated.encoder, evaluated.fitted, evaluated.held_out
    )
    return Measured(metrics, details, sum(totals), shown)


def test_a_run_with_robustness_has_its_metrics_its_table_and_its_headline(
    trained: Context, classes: Path, twofold: Twofold
) -> None:
    arguments = short_run(
        classes,
        trained.run.path.parent,
        "method.name=supervised",
        "data.test_share=0.4",
        "evaluation.measures=[]",
        *FEW,
    )
    ended = twofold(*arguments, "--until", "evaluate", "--update")

    assert ended.status == 0, ended.error
    assert "mean accuracy on corrupted images" in ended.out
    metrics = json.loads((trained.run.path / "metrics.json").read_text())
    names = {name for name in metrics if name.startswith("robustness/")}
    cells = {f"robustness/{name}/{one}/accuracy" for name in MAIN for one in (1, 5)}
    assert cells < names
    assert all(0 <= metrics[name] <= 1 for name in cells)
    assert {"robustness/mean_accuracy", "robustness/mean_accuracy_severity_5"} < names
    assert not {"robustness/mean_accuracy_severity_3", "robustness/mce"} & names
    assert metrics["robustness/clean_accuracy"] == metrics["linear_probe/test_accuracy"]
    record = json.loads((trained.run.path / "run.json").read_text())
    details = record["steps"]["evaluate"]["details"]
    assert details["robustness"]["images"] == details["images"]["test"]
    assert "Accuracy on corrupted held-out images" in (trained.run.path / "report.html").read_text()


def test_a_student_is_held_against_its_teacher_on_the_same_images(
    classes: Path, tmp_path: Path, twofold: Twofold
) -> None:
    ended = twofold(
        *short_run(
            classes,
            tmp_path,
            "method.name=self_training",
            "method.teacher.training.epochs=2",
            "method.teacher.training.batch_size=10",
            "method.teacher.encoder={name: core, filters: [3], units: [5], pooling: average}",
            "views.policy=none",
            "data.test_share=0.4",
            "evaluation.measures=[]",
            "evaluation.robustness_classifier=classifier",
            *FEW,
        ),
        "--until",
        "evaluate",
    )

    assert ended.status == 0, ended.error
    run = tmp_path / "folder_simclr"
    metrics = json.loads((run / "metrics.json").read_text())
    for prefix, own in (("", "classifier"), ("teacher/", "teacher")):
        clean = metrics[f"{prefix}robustness/clean_accuracy"]
        assert clean == pytest.approx(metrics[f"{own}/test_accuracy"])
    student = {name for name in metrics if name.startswith("robustness/")}
    assert {f"teacher/{name}" for name in student - {"robustness/gain_over_teacher"}} < set(metrics)
    gain = metrics["robustness/mean_accuracy"] - metrics["teacher/robustness/mean_accuracy"]
    assert metrics["robustness/gain_over_teacher"] == pytest.approx(gain)
    page = (run / "report.html").read_text()
    assert "where its teacher has" in page
    assert (run / "figures" / "robustness_gain.png").is_file()


def test_without_it_nothing_is_corrupted(trained: Context, evaluated: Evaluated) -> None:
    assert _measure(trained, evaluated) == ({}, {}, 0, [])


def test_who_classifies_can_be_chosen(trained: Context, evaluated: Evaluated) -> None:
    fitted, (_, _, held_out, features) = evaluated.fitted, evaluated
    head = build_linear_head(features.shape[1], 10, seed=0)
    read_final(trained.run.path / "checkpoints", {"head": head})
    votes = knn_predict(fitted.embeddings, fitted.labels, features, classes=10, k=3)
    expected = {
        "linear_probe": fitted.probe.logits(features),
        "knn": votes,
        "classifier": head(features).numpy(),
    }
    for name, scores in expected.items():
        found = _measure(trained, evaluated, *FEW, f"evaluation.robustness_classifier={name}")
        assert found.details["robustness"]["classifier"] == name
        right = (scores.argmax(axis=1) == held_out.labels).mean()
        assert found.metrics["robustness/clean_accuracy"] == pytest.approx(right)


def test_the_same_seed_gives_the_same_figures_and_all_adds_the_extra_ones(
    trained: Context, evaluated: Evaluated
) -> None:
    main_ones = _measure(trained, evaluated, *FEW).metrics
    all_ones = _measure(trained, evaluated, *FEW, "evaluation.robustness=all").metrics
    other = _measure(trained, evaluated, *FEW, "evaluation.corruption_seed=1").metrics

    assert main_ones.items() < all_ones.items()
    assert "robustness/spatter/5/accuracy" in all_ones
    assert "robustness/mean_accuracy_all" in all_ones
    assert main_ones.keys() == other.keys()
    assert main_ones != other


def test_some_images_are_chosen(trained: Context, evaluated: Evaluated) -> None:
    found = _measure(trained, evaluated, *FEW, "evaluation.corruption_images=7")

    assert found.total == found.shown[-1] == 7 * (1 + 15 * 2)
    assert found.details["robustness"]["images"] == 7
    for name in MAIN:
        right = found.metrics[f"robustness/{name}/1/accuracy"] * 7
        assert right == pytest.approx(round(right))


def test_fewer_images_are_a_part_of_more_chosen_by_their_keys(evaluated: Evaluated) -> None:
    split = evaluated.held_out
    few, more = (sample_labelled(split, count) for count in (3, 9))

    assert len(few) == 3
    assert set(few.tolist()) < set(more.tolist())
    assert split.key_hashes[more].max() < np.delete(split.key_hashes, more).min()
    unlabelled = dataclasses.replace(split, labels=np.where(np.arange(len(split.keys)) < 5, -1, 1))
    assert sample_labelled(unlabelled, None).tolist() == list(range(5, len(split.images)))
    assert sample_labelled(unlabelled, 10**6).tolist() == list(range(5, len(split.images)))


def test_a_baseline_divides_the_errors(
    trained: Context, evaluated: Evaluated, tmp_path: Path
) -> None:
    metrics = _measure(trained, evaluated, *FEW).metrics
    worse = {name: value / 2 for name, value in metrics.items()}
    found = []
    for number, figures in enumerate((metrics, worse)):
        baseline = tmp_path / str(number)
        baseline.mkdir()
        (baseline / "metrics.json").write_text(json.dumps(figures))
        setting = f"evaluation.robustness_baseline={baseline}"
        found.append(_measure(trained, evaluated, *FEW, setting).metrics)

    assert found[0]["robustness/mce"] == pytest.approx(1)
    assert found[0]["robustness/fog/ce"] == pytest.approx(1)
    assert found[1]["robustness/mce"] < 1


def test_another_baseline_means_that_evaluation_is_done_anew(
    trained: Context, tmp_path: Path
) -> None:
    settings = (*FEW, f"evaluation.robustness_baseline={tmp_path}")
    found = []
    for value in (0.5, 0.5, 0.6):
        (tmp_path / "metrics.json").write_text(json.dumps({"robustness/clean_accuracy": value}))
        found.append(step_inputs("evaluate", _with(trained, *settings)))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"expected the directory of a run with metrics\.json, received .*No such file"),
        ("{", "is damaged: expected JSON"),
        ("[]", "has no metrics on corrupted images: evaluate that run with evaluation.robustness"),
        ('{"knn/test_accuracy": 0.5}', "has no metrics on corrupted images"),
        ('{"robustness/clean_accuracy": 0.5}', "but 30 are missing, the first robustness/gauss"),
    ],
)
def test_a_baseline_that_does_not_fit_is_refused_before_anything_is_computed(
    content: str | None, message: str, trained: Context, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    context = _with(trained, *FEW, f"evaluation.robustness_baseline={tmp_path}")

    with pytest.raises(ConfigError, match=message) as refusal:
        plan_robustness(context, trained.manifest())
    assert str(refusal.value).startswith(f"evaluation.robustness_baseline={tmp_path}: ")


def test_images_without_classes_are_refused(trained: Context) -> None:
    manifest = trained.manifest().model_copy(update={"class_names": ()})

    with pytest.raises(DataError, match=r"robustness=main needs images of at least two classes"):
        plan_robustness(_with(trained, *FEW), manifest)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Sets of eight grey images and one white one, of which every class is an airplane."""
    pixels = np.full((9, 32, 32, 3), 100, np.uint8)
    pixels[8] = 255
    features = {
        "image": tfds.features.Image(shape=(32, 32, 3)),
        "label": tfds.features.ClassLabel(num_classes=10),
    }
    renamed = {"glass_blur": "frosted_glass_blur", "elastic_transform": "elastic"}
    for name in MAIN:
        tfds.dataset_builders.store_as_tfds_dataset(
            "cifar10_corrupted",
            "1.0.0",
            tfds.features.FeaturesDict(features),
            {"test": [(index, {"image": one, "label": 0}) for index, one in enumerate(pixels)]},
            config=f"{renamed.get(name, name)}_5",
            data_dir=str(tmp_path),
            download_config=tfds.download.DownloadConfig(num_shards=1),
            disable_shuffling=True,
        )
    return tmp_path


@pytest.mark.filterwarnings("ignore:label:DeprecationWarning")
def test_the_published_images_are_taken_where_they_are(
    trained: Context, evaluated: Evaluated, published: Path
) -> None:
    settings = (
        "evaluation.robustness=main",
        "evaluation.corruption_severities=[5]",
        f"evaluation.corrupted_tfds={published}",
    )
    found = _measure(trained, evaluated, *settings)
    few = _measure(trained, evaluated, *settings, "evaluation.corruption_images=3")

    assert found.details["robustness"]["published_images"]
    assert found.details["robustness"]["images"] == 9
    assert few.details["robustness"]["images"] == 3
    assert found.total == found.shown[-1]
    assert few.total == few.shown[-1] == 3 + 15 * 3
    # All sets hold the same images.
    assert len({found.metrics[f"robustness/{name}/5/accuracy"] for name in MAIN}) == 1

    with pytest.raises(ConfigError, match=r"^evaluation\.corrupted_tfds=.*_4' is not prepared in"):
        _measure(trained, evaluated, *settings, "evaluation.corruption_severities=[4]")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["evaluation.robustness=yes"], "evaluation.robustness: input should be 'off', 'main'"),
        (["evaluation.corruption_severities=[0]"], "greater than or equal to 1"),
        (["evaluation.corruption_severities=[6]"], "less than or equal to 5"),
        (["evaluation.corruption_severities=[2, 2]"], r"expected each once, received \[2, 2\]"),
        (["evaluation.corruption_severities=[]"], r"expected at least one, received \[\]"),
        (["evaluation.corruption_images=0"], "greater than or equal to 1"),
        (
            ["evaluation.robustness=main", "evaluation.robustness_classifier=classifier"],
            "method.name=simclr has no classifier of its own: expected one of self_training",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        override(RunConfig(), settings)


def test_yamls_bare_off_is_the_text() -> None:
    config = override(RunConfig(), ["evaluation.robustness=all"])

    assert override(config, ["evaluation.robustness=off"]) == RunConfig()
    assert RunConfig().evaluation.corruption_severities == SEVERITIES


class TestPicture:
    def _size(self, path: Path) -> tuple[int, int]:
        with Image.open(path) as picture:
            return picture.size

    def test_all_corruptions_of_an_image_are_drawn(
        self, twofold: Twofold, two_classes: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "new" / "sheet.png"
        image = two_classes / "cat" / "000.jpg"
        ended = twofold("corruptions", "--images", str(image), "--out", str(out))
        assert (ended.status, ended.error) == (0, "")
        assert ended.out == f"19 corruptions in {out}\n"
        width, height = self._size(out)
        assert height > len(CORRUPTIONS) * 96
        assert width > 6 * 96

    def test_size_and_seed_change_it_and_nothing_else_does(
        self, twofold: Twofold, two_classes: Path, tmp_path: Path
    ) -> None:
        out, drawn = tmp_path / "sheet.png", []
        for options in ((), (), ("--seed", "1"), ("--size", "20")):
            arguments = ("--images", str(two_classes), "--out", str(out), *options)
            assert twofold("corruptions", *arguments).status == 0
            drawn.append(out.read_bytes())
        assert drawn[0] == drawn[1]
        assert len(set(drawn)) == 3

    def test_without_an_image_a_sprite_is_drawn(self, twofold: Twofold, tmp_path: Path) -> None:
        out = tmp_path / "sheet.png"
        assert twofold("corruptions", "--out", str(out), "--size", "16").status == 0
        assert self._size(out)[1] > 1900

    def test_what_cannot_be_drawn_is_said(self, twofold: Twofold, tmp_path: Path) -> None:
        Image.new("RGB", (4, 4), "red").save(tmp_path / "small.png")
        Image.fromarray(np.arange(75, dtype=np.uint8).reshape(5, 5, 3)).save(tmp_path / "5.png")
        for name, words in (("5.png", "at least 8 pixels a side"), ("no.png", "No such file")):
            ended = twofold("corruptions", "--images", str(tmp_path / name))
            assert ended.status == 1
            assert words in ended.error
            assert len(ended.error.splitlines()) == 1
