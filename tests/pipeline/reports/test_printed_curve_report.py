"""Curves that publications print, and where they stand on the page of a run."""

from pathlib import Path

import numpy as np
import pytest

from twofold.pipeline import recipes
from twofold.pipeline.config import override
from twofold.pipeline.reports.printed_curve_report import printed_comparison
from twofold.pipeline.runs.run_record import RunRecord

# First and last values as the sources print them.
PRINTED = [
    ("cifar10_barlow_twins", "pretraining", "loss", 1, 160, 3480.7588, 781.7),
    ("stl10_simclr", "pretraining", "loss", 1, 20, 4.7788, 1.4159),
    ("stl10_simclr", "from scratch", "test/accuracy", 1, 20, 0.3341, 0.6149),
    ("stl10_simclr", "from scratch", "test/accuracy", 2, 20, 0.3490, 0.6288),
]


@pytest.mark.parametrize(("recipe", "training", "curve", "run", "epochs", "first", "last"), PRINTED)
def test_what_is_printed_is_what_the_sources_print(
    recipe: str, training: str, curve: str, run: int, epochs: int, first: float, last: float
) -> None:
    printed, published = recipes.printed_curves(recipe)
    assert published == recipe
    (found,) = [
        one for one in printed if (one.training, one.curve, one.run) == (training, curve, run)
    ]
    assert len(found.values) == epochs
    assert found.values[0] == first
    assert found.values[-1] == pytest.approx(last, abs=0.05)


@pytest.mark.parametrize("name", recipes.recipe_names())
def test_every_recipe_with_printed_curves_names_a_published_one(name: str) -> None:
    printed, published = recipes.printed_curves(name)
    assert published in recipes.recipe_names()
    assert recipes.printed_curves(published) == (printed, published)


def _record(recipe: str) -> RunRecord:
    return RunRecord(Path("run"), {"recipe": recipe, "steps": {}})


def test_a_run_stands_beside_the_printed_curves_epoch_by_epoch() -> None:
    """Two epochs of 4 steps, which the end of the first test tells."""
    config = override(recipes.load_recipe("stl10_simclr"), ["training.epochs=2"])
    curves = {
        "loss": (np.array([2, 4, 6, 8]), np.array([5.0, 4.0, 3.0, 2.0])),
        "test/accuracy": (np.array([4, 8]), np.array([0.2, 0.3])),
        "feature_std": (np.array([4, 8]), np.array([0.1, 0.1])),
    }
    found = printed_comparison(_record("stl10_simclr"), config, {"pretraining": curves})
    assert found is not None
    assert {row[0]: row[1:3] for row in found.rows} == {
        "loss": (2, 2.5),
        "test accuracy": (2, 0.3),
    }
    (note,) = found.notes
    assert "stand-in: it differs from stl10_simclr" in note
    assert "training.epochs=2 (was 20)" in note


def test_curves_of_the_published_test_images_stand_beside_those_of_the_reported_split() -> None:
    config = recipes.load_recipe("stl10_simclr")
    curves = {"validation/accuracy": (np.array([4, 8]), np.array([0.2, 0.3]))}
    details = {"details": {"held_out_split": "validation", "images": {"validation": 9}}}
    record = RunRecord(Path("run"), {"recipe": "stl10_simclr", "steps": {"evaluate": details}})
    found = printed_comparison(record, config, {"pretraining": curves})
    assert found is not None
    assert found.rows == (("test accuracy", 2, 0.3, (0.312, 0.3462)),)


def test_the_published_run_itself_is_no_stand_in() -> None:
    curves = {"loss": (np.array([100, 200]), np.array([5.0, 4.0]))}
    config = recipes.load_recipe("stl10_simclr")
    found = printed_comparison(_record("stl10_simclr"), config, {"pretraining": curves})
    assert found is not None
    assert found.notes == ()


@pytest.mark.parametrize("recipe", ["quickstart", "my.yaml"])
def test_a_run_whose_recipe_prints_no_curve_has_none(recipe: str) -> None:
    config = recipes.load_recipe("quickstart")
    curves = {"loss": (np.array([1]), np.array([1.0]))}
    assert printed_comparison(_record(recipe), config, {"pretraining": curves}) is None
