"""Which measures of two runs are values of the same thing."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.reports.compare_runs import collect, measured_of
from twofold.pipeline.runs.comparable_measures import why_not_compared
from twofold.pipeline.runs.run_record import RunRecord


def record_of(
    *settings: str,
    dataset: str = "a",
    metrics: Mapping[str, float] | None = None,
    path: str = "run",
) -> RunRecord:
    config = override(RunConfig(), settings)
    evaluated = {"held_out_split": "test", "images": {"test": 100}}
    steps = {
        "prepare": {"status": "done", "details": {"dataset_fingerprint": dataset}},
        "evaluate": {"status": "done", "details": evaluated, "metrics": metrics or {}},
    }
    values = {"configuration": config.model_dump(mode="json"), "steps": steps}
    return RunRecord(Path(path), values)


def reason(measure: str, *settings: str, dataset: str = "a") -> str:
    other = measured_of(record_of(*settings, dataset=dataset))
    return why_not_compared(measure, measured_of(record_of()), other)


@pytest.mark.parametrize(
    ("measure", "settings", "expected"),
    [
        ("pretrain/loss", ("encoder.units=[7]", "training.epochs=3"), ""),
        ("pretrain/loss", ("method.temperature=0.2",), "other method.temperature"),
        ("pretrain/loss", ("training.batch_size=500",), "other training.batch_size"),
        ("pretrain/loss", ("views.translation=0.1",), "other views.translation"),
        ("pretrain/contrastive_accuracy", ("method.negatives=2",), "other method.negatives"),
        ("linear_probe/test_accuracy", ("method.temperature=0.2",), ""),
        ("pretrain/test/accuracy", ("method.temperature=0.2", "training.batch_size=500"), ""),
        ("recipe_probe/test_accuracy", ("training.epochs=3",), ""),
        (
            "recipe_probe/test_accuracy",
            ("evaluation.probe_epochs=25",),
            "other evaluation.probe_epochs",
        ),
        (
            "linear_probe/test_accuracy",
            ("evaluation.regularisation=1e-9",),
            "other evaluation.regularisation",
        ),
        ("knn/test_accuracy", ("evaluation.neighbours=1",), "other evaluation.neighbours"),
        ("knn/test_accuracy", ("evaluation.regularisation=1e-9",), ""),
        (
            "finetune/test_accuracy",
            ("evaluation.finetune_epochs=3", "evaluation.finetune_head=linear_probe"),
            "other evaluation.finetune_epochs, evaluation.finetune_head",
        ),
        ("pretrain/loss", ("data.training_images=9",), "other data.training_images"),
        (
            "robustness/mean_accuracy",
            ("evaluation.robustness=main", "evaluation.corruption_severities=[5]"),
            "other evaluation.robustness, evaluation.corruption_severities",
        ),
        ("embedding/alignment", ("views.translation=0.1",), "other views.translation"),
        ("embedding/effective_rank", ("views.translation=0.1",), ""),
    ],
)
def test_a_measure_is_the_same_where_what_it_depends_on_is(
    measure: str, settings: tuple[str, ...], expected: str
) -> None:
    assert reason(measure, *settings) == expected


def test_losses_of_two_methods_are_not_compared() -> None:
    other = ("method.name=barlow_twins", "method.projector=[8, 8]")
    assert reason("pretrain/loss", *other).startswith("other method.name, ")
    assert reason("knn/test_accuracy", *other) == ""


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("knn/test_accuracy", "other test images"),
        ("pretrain/test/loss", "other test images"),
        ("pretrain/loss", "other training images"),
        ("pretrain/images_per_second", ""),
        ("export/bytes", ""),
    ],
)
def test_other_images_make_other_measures(measure: str, expected: str) -> None:
    assert reason(measure, dataset="b") == expected


def test_each_group_is_held_to_the_first_by_what_it_shares_with_it() -> None:
    metrics = {"pretrain/loss": 7.0, "knn/test_accuracy": 0.5}
    runs = [
        record_of(path="a", metrics=metrics),
        record_of("method.temperature=0.2", path="b", metrics=metrics),
        record_of("encoder.units=[7]", path="c", metrics=metrics),
    ]
    rows = {row.name: row for row in collect(runs).rows}

    first, second, third = rows["pretrain/loss"].differences
    assert first is None
    assert second is not None
    assert second.value is None
    assert second.how == "other method.temperature"
    assert third is not None
    assert third.value == 0.0
    assert [one and one.value for one in rows["knn/test_accuracy"].differences] == [None, 0.0, 0.0]


def test_images_that_decided_during_training_are_none_of_another_runs() -> None:
    """They were cut from the training images, and named validation after what they do."""
    cut = record_of()
    cut.values["steps"]["pretrain"] = {"status": "done", "details": {"deciding_images": 12}}
    first, other = measured_of(record_of()), measured_of(cut)
    assert why_not_compared("pretrain/validation/accuracy", first, other) == "other deciding images"
    assert why_not_compared("pretrain/loss", first, other) == "other training images"
    assert why_not_compared("knn/test_accuracy", first, other) == ""
