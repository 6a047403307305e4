"""The catalogue of metrics: every name that is written is known, and means one thing everywhere."""

import pytest

from tests.exported import LINEAGE
from twofold.components.evaluation.confidence_intervals import accuracy_metrics
from twofold.components.evaluation.metric_catalogue import CATALOGUE, CHARTS, Direction, Place, Unit
from twofold.components.evaluation.metrics import (
    bounds_of,
    describe,
    difference_text,
    interval_text,
    is_within_unit,
    members,
    names_at,
    unknown_names,
    value_text,
)
from twofold.components.evaluation.probes.fine_tuning import Tuned, fraction_metrics
from twofold.components.evaluation.robustness.corruption_robustness import (
    Robustness,
    relative_metrics,
)

ENDS = ("_low", "_high")


def robustness() -> Robustness:
    kinds = ("gaussian_noise", "speckle_noise")
    return Robustness(0.9, {(kind, severity): 0.5 for kind in kinds for severity in (1, 3)})


def written() -> dict[str, dict[str, float]]:
    """Metrics as those who measure write them."""
    measured = robustness().metrics()
    tuned = Tuned(total=100, correct=90, best_correct=91)
    study = {"simclr/shape_accuracy": 0.9, "simclr/shape_accuracy@0.05": 0.8}
    study |= {"simclr/decodability/posX": -0.2, "simclr/robust_accuracy": 0.5}
    bounds = {f"{name}{end}": 0.1 for name in ("simclr/shape_accuracy@0.05",) for end in ENDS}
    return {
        "exported model": dict(LINEAGE.metrics),
        "robustness": measured | relative_metrics(robustness(), robustness()),
        "teacher": {f"teacher/{name}": value for name, value in measured.items()},
        "fine-tuning": tuned.metrics("finetune") | tuned.metrics("finetune_scratch"),
        "fewer labels": fraction_metrics("finetune", {0.1: (tuned, tuned)})[1],
        "label fractions": accuracy_metrics("label_fraction/0.05/test_accuracy", 1, 2),
        "study": {f"study/{name}": value for name, value in (study | bounds).items()},
        "conversion": {
            f"export/litert_int8/{name}": 0.0
            for name in ("bytes", "max_difference", "accuracy", "accuracy_drop")
        },
        "curves": {f"pretrain/{tag}": 0.0 for chart in CHARTS for tag in chart.lines},
    }


@pytest.mark.parametrize("of", written())
def test_every_metric_that_is_written_is_in_the_catalogue(of: str) -> None:
    assert unknown_names(written()[of]) == []


def test_an_unknown_name_is_guessed_by_its_words_and_said_to_be_a_guess() -> None:
    accuracy, loss = describe("my_probe/accuracy_at_3"), describe("odd/loss")
    other = describe("something/new")

    assert (accuracy.unit, accuracy.direction) == (Unit.SHARE, Direction.HIGHER)
    assert (loss.unit, loss.direction) == (Unit.NUMBER, Direction.LOWER)
    assert (other.unit, other.direction, other.title) == (
        Unit.NUMBER,
        Direction.NONE,
        "something, new",
    )
    assert not any(one.known or one.shown for one in (accuracy, loss, other))
    names = ["odd/loss", "knn/test_accuracy", "a/b_low"]
    assert unknown_names(names) == ["a/b_low", "odd/loss"]


def test_a_bound_is_no_metric_of_its_own() -> None:
    lower = describe("study/vae/knn_accuracy_low")

    assert lower.title == "lower bound of: vae, kNN"
    assert lower.shown == {Place.ASIDE}
    assert lower.direction is Direction.NONE
    # What has no interval has no bounds.
    assert not describe("calibration/ece_low").known


def test_every_pattern_is_there_once_and_no_family_hides_a_metric_behind_it() -> None:
    patterns = [one.pattern for one in CATALOGUE]

    assert len(set(patterns)) == len(patterns)
    for one in CATALOGUE:
        if "*" not in one.pattern:
            assert describe(one.pattern) == one


def test_titles_repeat_the_parts_of_a_family_s_name() -> None:
    assert describe("robustness/motion_blur/3/accuracy").title == (
        "accuracy under motion blur at severity 3"
    )
    assert describe("study/two_negatives/shape_accuracy@0.05").title == (
        "two negatives, shape accuracy on a share of 0.05 of the labels"
    )


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("linear_probe/test_accuracy", Direction.HIGHER),
        ("retrieval/recall_at_5", Direction.HIGHER),
        ("embedding/effective_rank", Direction.HIGHER),
        ("calibration/ece", Direction.LOWER),
        ("pretrain/loss", Direction.LOWER),
        ("export/litert_int8/accuracy_drop", Direction.LOWER),
        ("export/max_difference/c_api/embed", Direction.LOWER),
        ("robustness/fog/ce", Direction.LOWER),
        ("embedding/alignment", Direction.NONE),
        ("prepare/read", Direction.NONE),
    ],
)
def test_which_way_is_better(name: str, direction: Direction) -> None:
    assert describe(name).direction is direction


def test_the_gate_asks_for_accuracies_the_linear_probe_s_first() -> None:
    assert names_at(Place.GATE) == [
        "linear_probe/test_accuracy",
        "classifier/test_accuracy",
        "knn/test_accuracy",
    ]
    for name in names_at(Place.GATE):
        assert describe(name).direction is Direction.HIGHER
        assert describe(name).interval


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("linear_probe/test_accuracy", 0.98765, "98.77%"),
        ("label_fraction/0.1/test_accuracy_low", 0.5, "50.00%"),
        ("calibration/ece", 0.012, "1.20%"),
        ("robustness/gain_over_teacher", 0.0058, "+0.58 points"),
        ("pretrain/loss", 3.21987, "3.22"),
        ("pretrain/kl", 70.25, "70.25 nats"),
        ("pretrain/images_per_second", 3139.27, "3,139"),
        ("embedding/dead_units", 0.0, "0"),
        ("embedding/uniformity", -1.6553, "-1.655"),
        ("prepare/read", 20000, "20,000"),
        ("export/bytes", 498662, "487 KiB"),
        ("export/latency_ms_batch_1", 1.4558, "1.46 ms"),
        ("pretrain/loss", float("nan"), "nan"),
        ("pretrain/loss", float("inf"), "inf"),
    ],
)
def test_a_value_is_written_in_its_unit(name: str, value: float, text: str) -> None:
    assert value_text(name, value) == text


def test_an_interval_of_shares_ends_where_shares_do() -> None:
    assert interval_text("knn/test_accuracy", -0.1, 1.2) == "0.00% to 100.00%"
    assert interval_text("study/a/uniformity", -2.5, 1.5) == "-2.5 to 1.5"
    assert is_within_unit("clustering/nmi")
    assert not is_within_unit("robustness/gain_over_teacher")


def test_differences_of_shares_are_in_points() -> None:
    assert difference_text("knn/test_accuracy", -0.24) == "-24.00 points"
    assert difference_text("pretrain/loss", 0.5) == "+0.5"


def test_bounds_and_members_are_found_by_name() -> None:
    metrics = accuracy_metrics("label_fraction/0.1/test_accuracy", 9, 10) | {"loss": 1.0}

    assert members("label_fraction/*/test_accuracy", metrics) == {
        ("0.1",): "label_fraction/0.1/test_accuracy"
    }
    found = bounds_of("label_fraction/0.1/test_accuracy", metrics)
    assert found is not None
    assert found[0] < 0.9 < found[1]
    assert bounds_of("loss", metrics) is None
