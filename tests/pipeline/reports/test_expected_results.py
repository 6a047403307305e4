"""Expected results of a recipe beside what a run found."""

from pathlib import Path
from typing import Any

import pytest

from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.config.expected import PUBLIC_DSPRITES, Expected, Protocol
from twofold.pipeline.recipes import load_recipe
from twofold.pipeline.reports.expected_results import (
    changed_from_recipe,
    expected_notes,
    expected_results,
)
from twofold.pipeline.runs.run_record import RunRecord

PUBLIC = ("data.source=npz", "data.path=dsprites_subset.npz")


def record(config: RunConfig, recipe: str = "quickstart", **metrics: float) -> RunRecord:
    named: dict[str, Any] = {name.replace("__", "/"): value for name, value in metrics.items()}
    steps = {"evaluate": {"status": "done", "metrics": named}}
    return RunRecord(Path("run"), {"recipe": recipe, "steps": steps})


def test_each_expected_result_stands_beside_the_one_that_was_found() -> None:
    config = load_recipe("quickstart")
    found = record(config, linear_probe__test_accuracy=0.9990, recipe_probe__test_accuracy=0.5)

    linear, recipe, knn = expected_results(found, config)

    assert (linear.title, linear.found, linear.within) == ("linear probe", "99.90%", True)
    assert (recipe.found, recipe.within) == ("50.00%", False)
    assert (knn.found, knn.within) == (None, None)
    assert expected_notes(found, config) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("training.epochs=3",), "training.epochs=3 (was 12)"),
        (("seed=7",), "Seed 7 is none of those that were measured: 0, 1, 2."),
    ],
)
def test_what_makes_other_results_likely_is_said(settings: tuple[str, ...], said: str) -> None:
    config = override(load_recipe("quickstart"), list(settings))

    (note,) = expected_notes(record(config), config)
    assert said in note


def test_a_range_says_nothing_of_other_settings_or_other_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = load_recipe("quickstart")
    found = record(config, linear_probe__test_accuracy=0.9990)
    other = override(config, ["training.epochs=3"])
    assert expected_results(found, other)[0].within is None
    assert expected_results(found, None)[0].within is None

    of_photographs = Expected(
        "linear_probe/test_accuracy", 0.999, 0.998, 1.0, protocol=Protocol("photos", held_out=1000)
    )
    monkeypatch.setattr(
        "twofold.pipeline.reports.expected_results.recipes.expected_results",
        lambda name: (of_photographs,),
    )
    details = {"held_out_split": "test", "images": {"test": 48}}
    found.values["steps"]["evaluate"]["details"] = details
    assert expected_results(found, config)[0].within is None
    details["images"] = {"test": 1000}
    assert expected_results(found, config)[0].within is True


def test_names_formats_and_places_change_no_result() -> None:
    config = override(
        load_recipe("quickstart"), ["name=other", "training.log_every=8", "export.formats=[onnx]"]
    )

    assert changed_from_recipe("quickstart", (), config) == []


def test_settings_of_the_measurement_are_no_change() -> None:
    config = override(load_recipe("dsprites_random"), list(PUBLIC))

    assert changed_from_recipe("dsprites_random", PUBLIC, config) == []
    (note,) = expected_notes(record(config, "dsprites_random"), config)
    assert note == "The expected results are of the public subset of dSprites."
    generated = load_recipe("dsprites_random")
    assert any(
        "data.source" in one for one in changed_from_recipe("dsprites_random", PUBLIC, generated)
    )


def test_a_run_of_no_recipe_and_a_member_of_a_study_expect_nothing() -> None:
    config = load_recipe("quickstart")

    for recipe in ("my.yaml", "dsprites_study"):
        assert expected_results(record(config, recipe), config) == []
        assert expected_notes(record(config, recipe), config) == []


def study(*settings: str, **metrics: float) -> tuple[RunRecord, RunConfig]:
    chosen = (*PUBLIC, *settings)
    config = override(load_recipe("dsprites_study"), list(chosen))
    named: dict[str, Any] = {f"study/{encoder}/shape_accuracy": v for encoder, v in metrics.items()}
    values = {
        "recipe": "dsprites_study",
        "configuration": config.model_dump(mode="json"),
        "steps": {"study": {"status": "done", "metrics": named}},
    }
    return RunRecord(Path("study"), values), config


def test_a_study_expects_the_results_of_its_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = [
        Expected(
            f"study/{encoder}/shape_accuracy", 0.98, 0.97, 0.99, (0, 1, 2), protocol=PUBLIC_DSPRITES
        )
        for encoder in ("supervised", "simclr", "vae")
    ]
    monkeypatch.setattr(
        "twofold.pipeline.reports.expected_results.recipes.expected_results", lambda name: measured
    )
    found, config = study(supervised=0.985, simclr=0.5)

    rows = {row.title: row for row in expected_results(found, config)}
    assert rows["supervised, shape accuracy"].within
    assert rows["simclr, shape accuracy"].within is False
    assert rows["vae, shape accuracy"].found is None
    assert expected_notes(found, config) == [
        "The expected results are of the public subset of dSprites."
    ]


def test_other_seeds_and_settings_of_a_study_are_said() -> None:
    found, config = study("study.seeds=[1,7]", "training.epochs=3")

    _, changed, seed = expected_notes(found, config)
    assert "training.epochs=3 (was 60)" in changed
    assert "study.seeds" not in changed
    assert seed == "Seed 7 is none of those that were measured: 0, 1, 2."
