"""A study runs several encoders of the same images, and measures them side by side."""

import contextlib
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.pipeline.conftest import Outcome
from twofold.components.errors import ConfigError
from twofold.components.evaluation.metrics import unknown_names
from twofold.pipeline.cli.app import main
from twofold.pipeline.cli.commands import try_out
from twofold.pipeline.config import RunConfig, StudyConfig, override, parse_config, to_yaml
from twofold.pipeline.config.study import encoders_of
from twofold.pipeline.recipes import load_recipe
from twofold.pipeline.studies.study_members import epochs_on_fewer, member_config

Twofold = Callable[..., Outcome]

_ENCODERS = (
    "{random: [method.name=random, views.policy=none],"
    " supervised: [method.name=supervised, views.policy=none, training.epochs=3]}"
)
_SMALL = (
    "data.images=300",
    "data.image_size=16",
    "encoder.filters=[4]",
    "encoder.units=[8]",
    "encoder.pooling=average",
    "training.batch_size=60",
    # One image would be left.
    "training.last_batch=drop",
    "training.epochs=1",
    # Compiling the views takes seconds.
    "training.compile=none",
    f"study.encoders={_ENCODERS}",
    "study.label_fractions=[0.25,1.0]",
    "study.fraction_probe_epochs=3",
    "study.fraction_training_epochs=2",
    "study.curve_groups={both: [supervised, random], one: [raw]}",
    "study.pictured={all: supervised}",
    "study.overlaid=[raw, random]",
    "study.rsm_images=50",
    "study.reference={random: 0.4}",
    f"training.callbacks=['{__name__}:Listening']",
)
_ENDS = ("_low", "", "_high")
# The runs and stages whose beginning a callback was told of.
_TOLD: list[tuple[str, str]] = []


class Listening:
    """Hears of each training that begins."""

    def on_begin(self, training: dict[str, Any]) -> None:
        _TOLD.append((training["run"], training["stage"]))


class Study(NamedTuple):
    """A finished study of two seeds."""

    path: Path
    out: str

    def metrics(self, run: str = ".") -> dict[str, float]:
        """The metrics of the study, or of one of its runs."""
        values: dict[str, float] = json.loads((self.path / run / "metrics.json").read_text())
        return values

    def record(self, run: str = ".") -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.path / run / "run.json").read_text())
        return record

    def mean(self, metric: str, *runs: str) -> Any:
        """The mean of a metric of runs, for a comparison."""
        values = [self.metrics(run)[metric] for run in runs]
        return pytest.approx(sum(values) / len(values))


def _arguments(workdir: Path, *settings: str) -> list[str]:
    options = [part for setting in (*_SMALL, *settings) for part in ("--set", setting)]
    return ["run", "dsprites_study", "--workdir", str(workdir), *options]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    workdir, out = tmp_path_factory.mktemp("work"), io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as end:
        main(_arguments(workdir, "study.seeds=[0,1]"))
    assert not end.value.code, out.getvalue()
    return Study(workdir / "dsprites_study", out.getvalue())


def test_a_study_has_a_run_for_each_encoder_and_seed_and_for_fewer_labels_where_these_matter(
    study: Study,
) -> None:
    assert {path.parent.name for path in study.path.glob("*/run.json")} == {
        *("random-seed-0", "random-seed-1", "supervised-seed-0", "supervised-seed-1"),
        *("supervised-seed-0-labels-0.25", "supervised-seed-1-labels-0.25"),
        # Its epochs for the curves are others than its own.
        *("supervised-seed-0-labels-1", "supervised-seed-1-labels-1"),
    }


def test_callbacks_are_told_of_every_training_of_a_study(study: Study) -> None:
    trained = {path.parent.name for path in study.path.glob("supervised-*/run.json")}
    assert {*_TOLD} == {(name, "pretrain") for name in trained}
    assert len(_TOLD) == 6


def test_a_run_of_fewer_labels_draws_them_by_its_seed_and_goes_through_them_more_often(
    study: Study,
) -> None:
    configuration = study.record("supervised-seed-1-labels-0.25")["configuration"]
    assert configuration["seed"] == configuration["data"]["label_seed"] == 1
    assert configuration["data"]["label_share"] == 0.25
    # 2 / sqrt(0.25).
    assert configuration["training"]["epochs"] == 4
    with_all = study.record("supervised-seed-1-labels-1")["configuration"]
    assert with_all["training"]["epochs"] == 2
    assert study.record("supervised-seed-1")["configuration"]["training"]["epochs"] == 3


@pytest.mark.parametrize(
    ("part", "fraction"), [("", ""), ("-labels-0.25", "@0.25"), ("-labels-1", "@1")]
)
def test_a_supervised_networks_accuracy_is_its_own_classifiers(
    study: Study, part: str, fraction: str
) -> None:
    runs = (f"supervised-seed-{seed}{part}" for seed in (0, 1))
    found = study.metrics()[f"study/supervised/shape_accuracy{fraction}"]
    assert found == study.mean("classifier/test_accuracy", *runs)


def test_any_other_encoders_accuracy_is_the_recipe_probes(study: Study) -> None:
    found = study.metrics()["study/random/shape_accuracy"]
    assert found == study.mean("recipe_probe/test_accuracy", "random-seed-0", "random-seed-1")


@pytest.mark.parametrize("encoder", ["raw", "random", "supervised"])
def test_every_encoder_and_the_pixels_are_measured_with_intervals(
    study: Study, encoder: str
) -> None:
    metrics = study.metrics()
    for end in ("", "@0.25", "@1"):
        for kind in ("accuracy", "training_accuracy"):
            name = f"study/{encoder}/shape_{kind}{end}"
            assert 0 <= metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"] <= 1
    assert f"study/{encoder}/decodability/posX" in metrics


def test_what_runs_measured_themselves_has_its_mean_and_interval_below_0_as_well(
    study: Study,
) -> None:
    low, mean, high = (study.metrics()[f"study/random/alignment{end}"] for end in _ENDS)
    assert low <= mean <= high
    assert mean == study.mean("embedding/alignment", "random-seed-0", "random-seed-1")


def test_every_metric_of_a_study_is_in_the_catalogue(study: Study) -> None:
    assert not unknown_names(study.metrics())


def test_a_study_draws_its_figures(study: Study) -> None:
    assert {path.stem for path in (study.path / "figures").glob("*.png")} == {
        *("accuracies", "fractions_both", "fractions_one", "decodability", "probe_losses"),
        *("images_latents", "images_positions", "images_all"),
        *("rsm_histogram", "rsm_overlay", "rsm_class", "rsm_scale"),
        *("rsm_orientation", "rsm_posX", "rsm_posY"),
    }


def test_a_study_records_its_encoders_and_links_the_pages_of_its_runs(study: Study) -> None:
    details = study.record()["steps"]["study"]["details"]
    assert details["encoders"] == ["raw", "random", "supervised"]
    assert 'href="random-seed-0/report.html"' in (study.path / "report.html").read_text()
    assert (study.path / "random-seed-0/report.html").is_file()


def test_a_study_prints_its_accuracies_and_describes_the_images_of_all_once(study: Study) -> None:
    assert "accuracy of shape" in study.out
    assert "25 %" in study.out
    assert study.out.count(" train) in ") == 1


def test_a_finished_study_is_reused(study: Study, twofold: Twofold) -> None:
    def changed() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in study.path.glob("*/run.json")}

    before, metrics = changed(), study.metrics()
    (study.path / "metrics.json").unlink()
    again = twofold(*_arguments(study.path.parent, "study.seeds=[0,1]"))
    assert again.status == 0, again.error
    assert "study: finished before, reused" in again.out
    assert changed() == before
    # Which repeats what the record says.
    assert study.metrics() == metrics
    assert f"{study.path / 'metrics.json'} differed from run.json, written again" in again.out


def test_a_trial_of_a_finished_study_finds_nothing_left_and_of_another_seed_its_own_runs(
    study: Study, twofold: Twofold, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = _arguments(study.path.parent, "study.seeds=[0,1]")
    ended = twofold(*arguments, "--dry-run", "--check")
    assert (ended.status, ended.out) == (0, "study: finished before, reused\n")

    tried: list[tuple[str, int, Any]] = []

    def estimate(work: str, config: RunConfig, **options: Any) -> str:
        tried.append((config.name, config.seed, options["plan"].steps))
        return ""

    monkeypatch.setattr(try_out, "run_apart", estimate)
    monkeypatch.setattr(try_out, "estimate_table", str)
    arguments = _arguments(study.path.parent, "study.seeds=[0,1,2,3]")
    assert twofold(*arguments, "--dry-run").status == 2
    ended = twofold(*arguments, "--update", "--dry-run")
    assert ended.status == 0, ended.error
    assert "random, 2 seeds:" in ended.out
    assert "random-seed-0:\nprepare: finished before, reused" in ended.out
    steps = ("prepare", "pretrain", "evaluate")
    assert tried == [("random-seed-2", 2, steps), ("supervised-seed-2", 2, steps)]


def test_other_seeds_are_another_study(study: Study, twofold: Twofold) -> None:
    refused = twofold(*_arguments(study.path.parent, "study.seeds=[0]"))
    assert refused.status == 2
    assert "study.seeds: [0, 1] there, [0] here" in refused.error


def test_the_steps_of_a_study_are_not_run_one_by_one(twofold: Twofold, tmp_path: Path) -> None:
    ended = twofold("prepare", "dsprites_study", "--workdir", str(tmp_path))
    assert ended.status == 2
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
        ("study.encoders={}", "study.encoders: expected some, or study.sweep"),
        ("study.sweep={training.epochs: []}", "study.sweep"),
        (
            "study.sweep={training.epochs: [1, 1]}",
            "two combinations are called supervised-epochs-1",
        ),
        (
            "study.sweep={seed: [1, 2]}",
            "study.sweep.seed is no encoder's own: expected study.seeds",
        ),
        ("study.encoders={a: [seed=3]}", "study.encoders.a: seed=3 is no encoder's own"),
        ("study.label_fractions=[0]", "study.label_fractions"),
        ("study.reference={raw: 40}", "study.reference"),
        ("study.overlaid=[nobody]", "study.overlaid: nothing is called 'nobody': expected some"),
        ("study.pictured={all: raw}", "study.pictured.all: nothing is called 'raw'"),
        ("study.curve_groups={one: [b]}", "study.curve_groups.one: nothing is called 'b'"),
    ],
)
def test_settings_of_a_study_that_cannot_be_are_refused(setting: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        override(load_recipe("dsprites_study"), [setting])


def test_a_combination_of_a_sweep_that_cannot_be_used_is_named_as_one() -> None:
    config = RunConfig(study=StudyConfig(sweep={"method.nam": ("vae",)}))
    with pytest.raises(ConfigError, match=r"^study\.sweep, nam-vae: .*method\.nam"):
        member_config(config, "nam-vae", 0)


def test_a_sweep_makes_an_encoder_of_every_combination() -> None:
    study = StudyConfig(
        sweep={"training.learning_rate": (0.1, 1e-5), "encoder.filters": ([6, 16],)},
    )
    assert encoders_of(study) == {
        "learning_rate-0.1-filters-6_16": ("training.learning_rate=0.1", "encoder.filters=[6, 16]"),
        "learning_rate-1e_05-filters-6_16": (
            "training.learning_rate=1e-05",
            "encoder.filters=[6, 16]",
        ),
    }
    config = member_config(RunConfig(study=study), "learning_rate-1e_05-filters-6_16", 3)
    assert config.training.learning_rate == 1e-5
    assert config.name == "learning_rate-1e_05-filters-6_16-seed-3"


def test_a_sweep_is_made_of_every_encoder_and_names_keys_that_end_alike_in_full() -> None:
    sweep = {"method.name": ("vae",), "encoder.name": ("core", "conv4")}
    study = StudyConfig(encoders={"one": (), "two": ("training.epochs=1",)}, sweep=sweep)
    assert list(encoders_of(study)) == [
        f"{one}-method.name-vae-encoder.name-{encoder}"
        for one in ("one", "two")
        for encoder in ("core", "conv4")
    ]
    assert encoders_of(study)["two-method.name-vae-encoder.name-core"] == (
        "training.epochs=1",
        'method.name="vae"',
        'encoder.name="core"',
    )


def test_a_study_as_yaml_comes_back_as_it_was() -> None:
    import yaml

    study = load_recipe("dsprites_study")
    assert parse_config(yaml.safe_load(to_yaml(study)), "yaml") == study
