"""A study runs several encoders of the same images, and measures them side by side."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.conftest import Outcome
from twofold.components.errors import ConfigError
from twofold.components.evaluation.metrics import unknown_names
from twofold.pipeline.config import RunConfig, StudyConfig, override, parse_config, to_yaml
from twofold.pipeline.recipes import load_recipe
from twofold.pipeline.studies.study_members import epochs_on_fewer, member_config

Twofold = Callable[..., Outcome]

_ENCODERS = (
    "{random: [method.name=random, views.policy=none],"
    " supervised: [method.name=supervised, views.policy=none, training.epochs=4]}"
)
_SMALL = (
    "data.images=300",
    "data.image_size=16",
    "encoder.filters=[4]",
    "encoder.units=[8]",
    "encoder.pooling=average",
    "training.batch_size=60",
    "training.epochs=1",
    f"study.encoders={_ENCODERS}",
    "study.label_fractions=[0.25,1.0]",
    "study.rsm_images=50",
    "study.reference={random: 0.4}",
)


def _run(twofold: Twofold, workdir: Path, *settings: str) -> Outcome:
    options = [part for setting in (*_SMALL, *settings) for part in ("--set", setting)]
    return twofold("run", "dsprites_study", "--workdir", str(workdir), *options)


def _metrics(run: Path) -> dict[str, float]:
    metrics: dict[str, float] = json.loads((run / "metrics.json").read_text())
    return metrics


def _records(study: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in study.glob("*/run.json")}


def test_a_study_from_its_runs_to_its_page(twofold: Twofold, tmp_path: Path) -> None:
    ended = _run(twofold, tmp_path, "study.seeds=[0,1]")
    assert ended.status == 0, ended.error
    study = tmp_path / "dsprites_study"
    metrics, found = _metrics(study), _records(study)
    assert unknown_names(metrics) == []
    assert set(found) == {
        f"{name}-seed-{seed}{part}"
        for seed in (0, 1)
        for name, part in (("random", ""), ("supervised", ""), ("supervised", "-labels-0.25"))
    }

    # A supervised network's accuracy is its own classifier's, with all labels and with fewer.
    for part, name in (("", "shape_accuracy"), ("-labels-0.25", "shape_accuracy@0.25")):
        own = [
            _metrics(study / f"supervised-seed-{seed}{part}")["classifier/test_accuracy"]
            for seed in (0, 1)
        ]
        assert metrics[f"study/supervised/{name}"] == pytest.approx(sum(own) / 2)
    # Any other encoder's is the recipe's probe's.
    own = [_metrics(study / f"random-seed-{seed}")["recipe_probe/test_accuracy"] for seed in (0, 1)]
    assert metrics["study/random/shape_accuracy"] == pytest.approx(sum(own) / 2)
    for encoder in ("raw", "random", "supervised"):
        name = f"study/{encoder}/shape_accuracy"
        for key in (name, f"{name}@0.25"):
            assert 0 <= metrics[f"{key}_low"] <= metrics[key] <= metrics[f"{key}_high"] <= 1
        assert f"study/{encoder}/decodability/posX" in metrics
    # What runs measured themselves has its mean and interval, too, also below 0.
    own = [_metrics(study / f"random-seed-{seed}")["embedding/alignment"] for seed in (0, 1)]
    low, mean, high = (metrics[f"study/random/alignment{end}"] for end in ("_low", "", "_high"))
    assert low <= mean <= high
    assert mean == pytest.approx(sum(own) / 2)
    assert {path.stem for path in (study / "figures").glob("*.png")} == {
        *("accuracies", "fractions", "decodability", "rsm_histogram", "rsm_class"),
        *("rsm_scale", "rsm_orientation", "rsm_posX", "rsm_posY"),
    }

    record: dict[str, Any] = json.loads((study / "run.json").read_text())
    less = json.loads((study / "supervised-seed-1-labels-0.25/run.json").read_text())
    configuration = less["configuration"]
    assert configuration["seed"] == configuration["data"]["label_seed"] == 1
    assert configuration["data"]["label_share"] == 0.25
    assert configuration["training"]["epochs"] == 8
    assert record["steps"]["study"]["details"]["encoders"] == ["raw", "random", "supervised"]
    page = (study / "report.html").read_text()
    assert 'href="random-seed-0/report.html"' in page
    assert (study / "random-seed-0/report.html").is_file()
    assert "accuracy of shape" in ended.out
    assert "25 %" in ended.out
    assert ended.out.count(" train) in ") == 1, "the images of all are described once"

    again = _run(twofold, tmp_path, "study.seeds=[0,1]")
    assert again.status == 0, again.error
    assert "study: finished before, reused" in again.out
    assert _records(study) == found

    # Another seed adds its runs; those that are there stay.
    refused = _run(twofold, tmp_path, "study.seeds=[0]")
    assert refused.status == 1
    assert "study.seeds: [0, 1] there, [0] here" in refused.error


def test_the_steps_of_a_study_are_not_run_one_by_one(twofold: Twofold, tmp_path: Path) -> None:
    ended = twofold("prepare", "dsprites_study", "--workdir", str(tmp_path))
    assert ended.status == 1
    assert "dsprites_study is a study of several runs: expected `twofold run`" in ended.error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("epochs", "fraction"), [(10, 0.05), (10, 0.01), (25, 0.4), (7, 1.0)])
def test_fewer_labels_are_gone_through_more_often(epochs: int, fraction: float) -> None:
    expected = math.ceil(epochs / math.sqrt(fraction) - 1e-9)
    assert epochs_on_fewer(epochs, fraction) == expected
    assert epochs_on_fewer(10, 0.01) == 100


def test_a_member_is_the_studys_configuration_with_its_own_settings() -> None:
    study = load_recipe("dsprites_study")
    vae = member_config(study, "vae", 3)
    assert (vae.name, vae.seed, vae.study) == ("vae-seed-3", 3, None)
    assert vae.method.name == "vae"
    assert vae.data == study.data
    biased = member_config(load_recipe("dsprites_bias_study"), "simclr_biased", 0)
    assert biased.data.training_rules[0] == {"label": (0.0, 0.0), "posX": (0.0, 0.3)}


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        (["data.images=10"], "study.encoders.one: all encoders of a study see the same images"),
        (["method.nam=vae"], "study.encoders.one: .*method.nam"),
    ],
)
def test_a_member_that_would_see_other_images_or_has_no_such_setting_is_refused(
    settings: list[str], cause: str
) -> None:
    config = RunConfig(study=StudyConfig(encoders={"one": tuple(settings)}))
    with pytest.raises(ConfigError, match=cause):
        member_config(config, "one", 0)


@pytest.mark.parametrize(
    ("setting", "cause"),
    [
        ("study.seeds=[1,1]", "expected each once"),
        ("study.seeds=[]", "study.seeds"),
        ("study.pixels=vae", "an encoder is called so"),
        ("study.encoders={}", "study.encoders"),
        ("study.label_fractions=[0]", "study.label_fractions"),
        ("study.reference={raw: 40}", "study.reference"),
    ],
)
def test_settings_of_a_study_that_cannot_be_are_refused(setting: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        override(load_recipe("dsprites_study"), [setting])


def test_a_study_as_yaml_comes_back_as_it_was() -> None:
    import yaml

    study = load_recipe("dsprites_study")
    assert parse_config(yaml.safe_load(to_yaml(study)), "yaml") == study
