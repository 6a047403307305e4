import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from tests.exported import LINEAGE, describe, save_tiny, with_metrics
from twofold.components.export.proof.smoke_test import Answers, ask
from twofold.components.export.saved_model.lineage import read_lineage
from twofold.components.export.saved_model.version_directory import file_checksums
from twofold.pipeline.models.promote_model import DEFAULT_METRICS

ANSWERS = Answers((), loaded=True, requests=4, compared=3, latency_ms=2.5, runs=50)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("saved") / "1")


@pytest.fixture(autouse=True)
def answers(monkeypatch):
    """What models answer, without a process that asks them."""
    given = {"answers": ANSWERS}
    monkeypatch.setattr(
        "twofold.components.export.proof.inspection.run_smoke_test",
        lambda version, runs: given["answers"],
    )
    return given


@pytest.fixture
def make(saved, tmp_path):
    """Makes an intact model that is like no other, with a lineage of its own."""
    made: list[Path] = []

    def model(lineage=LINEAGE, source=saved, **options):
        path = tmp_path / f"model{len(made)}" / "1"
        shutil.copytree(source, path)
        own = dataclasses.replace(lineage, checkpoint=f"{len(made):064}")
        made.append(describe(path, own, **options))
        return path

    return model


@pytest.fixture
def root(tmp_path):
    return tmp_path / "serving"


def log_of(root):
    return [json.loads(line) for line in (root / "promotions.jsonl").read_text().splitlines()]


def numbers(root):
    return sorted(int(path.name) for path in root.iterdir() if path.name.isdecimal())


def reasons_of(outcome):
    first, *reasons = outcome.error.splitlines()
    assert first.startswith("error: ")
    assert "is not promoted to" in first
    return [reason.strip() for reason in reasons]


def test_the_first_model_has_nothing_to_beat(twofold, make, root):
    model = make()

    outcome = twofold("promote", str(model.parent), str(root))

    assert outcome.status == 0
    assert f"{model} is version 1 in {root}" in outcome.out
    assert file_checksums(root / "1") == file_checksums(model)
    (entry,) = log_of(root)
    assert entry["decision"] == "promoted"
    assert (entry["version"], entry["current_version"]) == (1, None)
    assert entry["candidate"] == str(model)
    assert len(entry["checksum"]) == 64
    assert entry["latency_ms"] == 2.5
    assert entry["reasons"] == []
    assert entry["figures"]["candidate"]["linear_probe/test_accuracy"] == 0.9
    assert entry["figures"]["candidate"]["held_out_images"] == 100
    assert "current" not in entry["figures"]


@pytest.mark.parametrize(
    ("accuracy", "passes"),
    [
        # Of 100 images each, Fisher's exact test finds 90 and 79 right to differ (p = 0.049), and
        # 90 and 80 not to (p = 0.073).
        (0.79, False),
        (0.80, True),
        (0.90, True),
        (0.99, True),
    ],
)
def test_a_candidate_may_not_be_worse_by_more_than_chance_explains(
    twofold, make, root, accuracy, passes
):
    twofold("promote", str(make()), str(root))
    measured = {f"linear_probe__test_accuracy{end}": None for end in ("_low", "_high")}
    worse = make(with_metrics(linear_probe__test_accuracy=accuracy, **measured))

    outcome = twofold("promote", str(worse), str(root))

    assert outcome.status == (0 if passes else 1)
    assert numbers(root) == ([1, 2] if passes else [1])
    entry = log_of(root)[-1]
    assert entry["decision"] == ("promoted" if passes else "refused")
    assert entry["current_version"] == 1
    assert entry["figures"]["candidate"]["linear_probe/test_accuracy"] == accuracy
    assert entry["figures"]["current"]["linear_probe/test_accuracy"] == 0.9
    if not passes:
        (reason,) = reasons_of(outcome)
        assert reason.startswith(
            "linear_probe/test_accuracy is 0.79, and 0.9 of version 1: worse by more than chance "
            "explains (Fisher's exact test over test images, p = 0.049"
        )
        assert entry["reasons"] == [reason]
        assert entry["version"] is None


def test_without_counts_or_intervals_any_loss_counts(twofold, make, root):
    twofold("promote", str(make()), str(root))
    worse = make(with_metrics(calibration__ece=0.051))

    outcome = twofold("promote", str(worse), str(root), "--metric", "calibration/ece")

    assert outcome.status == 1
    assert reasons_of(outcome) == [
        "calibration/ece is 0.051, and 0.05 of version 1: worse, and there is no interval to tell "
        "whether by chance"
    ]
    better = make(with_metrics(calibration__ece=0.049))
    assert twofold("promote", str(better), str(root), "--metric", "calibration/ece").status == 0


def test_a_loss_of_other_settings_is_no_figure_to_be_held_to(twofold, make, root):
    def with_temperature(value):
        configuration = {
            **LINEAGE.configuration,
            "method": {"name": "simclr", "temperature": value},
        }
        return dataclasses.replace(with_metrics(pretrain__loss=3.0), configuration=configuration)

    twofold("promote", str(make(with_temperature(0.5))), str(root))
    other = make(with_temperature(0.1))

    outcome = twofold("promote", str(other), str(root), "--metric", "pretrain/loss")
    assert reasons_of(outcome) == [
        "pretrain/loss is not the same thing as that of version 1: other method.temperature"
    ]
    assert twofold("promote", str(other), str(root), "--metric", "knn/test_accuracy").status == 0


def test_several_figures_are_held_and_each_reason_has_its_line(twofold, make, root, answers):
    twofold("promote", str(make()), str(root))
    worse = make(with_metrics(knn__test_accuracy=0.6, calibration__ece=0.2, pretrain__loss=None))
    answers["answers"] = dataclasses.replace(ANSWERS, latency_ms=31.25)
    metrics = ["linear_probe/test_accuracy", "knn/test_accuracy", "calibration/ece"]
    options = [part for name in [*metrics, "pretrain/loss"] for part in ("--metric", name)]

    outcome = twofold("promote", str(worse), str(root), *options, "--max-latency-ms", "20")

    reasons = reasons_of(outcome)
    assert [reason.split(" is ")[0] for reason in reasons] == [
        "it answers one image in 31.2 ms (median of 50), and --max-latency-ms",
        "knn/test_accuracy",
        "calibration/ece",
        "it records no pretrain/loss",
    ]
    assert log_of(root)[-1]["reasons"] == reasons
    assert numbers(root) == [1]


def test_a_model_that_is_fast_enough_passes(twofold, make, root):
    assert twofold("promote", str(make()), str(root), "--max-latency-ms", "2.5").status == 0


def test_the_latency_is_measured(twofold, make, root, monkeypatch):
    monkeypatch.setattr("twofold.components.export.proof.inspection.run_smoke_test", ask)
    model = make()

    (reason,) = reasons_of(twofold("promote", str(model), str(root), "--max-latency-ms", "1e-9"))
    assert reason.endswith("(median of 50), and --max-latency-ms is 1e-09")
    assert twofold("promote", str(model), str(root), "--max-latency-ms", "60000").status == 0
    assert [entry["latency_ms"] > 0 for entry in log_of(root)] == [True, True]


def test_a_latency_that_cannot_be_measured_is_no_pass(twofold, make, root, answers):
    answers["answers"] = dataclasses.replace(ANSWERS, latency_ms=None, runs=0)

    outcome = twofold("promote", str(make()), str(root), "--max-latency-ms", "20")

    assert reasons_of(outcome) == [
        "its latency was not measured: it answers no recorded request to serving_default"
    ]


def test_the_figure_is_the_first_that_both_have(twofold, make, root):
    bare = with_metrics(linear_probe__test_accuracy=None, knn__test_accuracy=0.5)
    twofold("promote", str(make()), str(root))

    outcome = twofold("promote", str(make(bare)), str(root))
    assert reasons_of(outcome)[0].startswith("knn/test_accuracy is 0.5, and 0.88 of version 1")

    none = with_metrics(linear_probe__test_accuracy=None, knn__test_accuracy=None)
    outcome = twofold("promote", str(make(none)), str(root))
    assert reasons_of(outcome) == [
        f"it has no metric in common with version 1 among {', '.join(DEFAULT_METRICS)}: name one "
        "with --metric"
    ]


def test_a_figure_of_unknown_sense_is_refused_before_anything_is_done(twofold, make, root):
    outcome = twofold("promote", str(make()), str(root), "--metric", "embedding/colour")

    assert outcome.status == 1
    assert "--metric embedding/colour: it is not known whether more or less" in outcome.error
    assert not root.exists()


def test_figures_on_other_data_are_pointed_out(twofold, make, root):
    twofold("promote", str(make()), str(root))
    data = dataclasses.replace(LINEAGE.data, fingerprint="0" * 64)

    outcome = twofold("promote", str(make(dataclasses.replace(LINEAGE, data=data))), str(root))

    assert outcome.status == 0
    assert "its metrics are on another data set than those of version 1" in outcome.out
    assert any("another data set" in note for note in log_of(root)[-1]["notes"])


def test_a_damaged_candidate_is_refused(twofold, make, root, answers):
    model = make()
    (model / "assets.extra" / "config.yaml").write_text("name: other\n")
    answers["answers"] = Answers(("it does not load: no variables",))

    outcome = twofold("promote", str(model), str(root))

    assert outcome.status == 1
    damaged, loading = reasons_of(outcome)
    assert damaged.startswith("assets.extra/config.yaml is damaged")
    assert loading == "it does not load: no variables"
    assert numbers(root) == []
    assert log_of(root)[0]["decision"] == "refused"


def test_a_candidate_that_cannot_be_verified_is_refused(twofold, saved, root):
    outcome = twofold("promote", str(saved), str(root))

    assert outcome.status == 1
    assert reasons_of(outcome) == ["it records no lineage", "it records no checksums"]


def test_breaking_callers_needs_leave(twofold, make, root, tmp_path):
    twofold("promote", str(make()), str(root))
    other = make(source=save_tiny(tmp_path / "wider", width=4), width=4)

    outcome = twofold("promote", str(other), str(root))

    assert reasons_of(outcome) == [
        f"it breaks callers of version 1: signature {name}: output embedding is float32 [?,4], and "
        "was float32 [?,3]"
        for name in ("embed", "serving_default")
    ]
    assert twofold("promote", str(other), str(root), "--breaking").status == 0
    entry = log_of(root)[-1]
    assert (entry["decision"], entry["version"]) == ("promoted", 2)
    assert sum("it breaks callers" in note for note in entry["notes"]) == 2


def test_classes_in_another_order_break_callers(twofold, make, root):
    twofold("promote", str(make()), str(root))
    other = make(dataclasses.replace(LINEAGE, class_names=("dog", "cat")))

    outcome = twofold("promote", str(other), str(root))

    assert reasons_of(outcome) == [
        "it breaks callers of version 1: its classes are others, or in another order"
    ]


def test_force_skips_the_gate_and_is_recorded(twofold, make, root, answers):
    twofold("promote", str(make()), str(root))
    worse = make(with_metrics(linear_probe__test_accuracy=0.1))
    answers["answers"] = Answers(("it does not load: no variables",))

    outcome = twofold("promote", str(worse), str(root), "--force")

    assert outcome.status == 0
    assert numbers(root) == [1, 2]
    entry = log_of(root)[-1]
    assert (entry["decision"], entry["version"]) == ("forced", 2)
    assert entry["notes"] == ["the gate was skipped"]
    assert entry["figures"]["candidate"]["linear_probe/test_accuracy"] == 0.1
    assert entry["figures"]["current"]["linear_probe/test_accuracy"] == 0.9


def test_what_is_served_already_is_not_served_again(twofold, make, root):
    model = make()
    twofold("promote", str(model), str(root))

    assert reasons_of(twofold("promote", str(model), str(root))) == [
        "it is version 1 already, file by file"
    ]
    outcome = twofold("promote", str(root), str(root))
    assert outcome.status == 1
    assert f"{root} is in {root} already" in outcome.error


def test_a_served_model_that_cannot_be_read_stops_the_gate(twofold, make, root):
    twofold("promote", str(make()), str(root))
    (root / "1" / "saved_model.pb").write_bytes(b"\xff")

    (reason,) = reasons_of(twofold("promote", str(make()), str(root)))

    assert reason.startswith("what is served cannot be compared with: ")


def test_a_promotion_that_cannot_be_carried_out_is_recorded(twofold, make, root, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    model = make()
    monkeypatch.setattr("twofold.components.export.registry.serving_root.shutil.copytree", fail)
    outcome = twofold("promote", str(model), str(root))

    assert outcome.status == 1
    assert "No space left on device" in outcome.error
    assert [entry["decision"] for entry in log_of(root)] == ["promoted", "failed"]
    reason = f"OSError: [Errno 28] No space left on device: '{root / '1'}'"
    assert log_of(root)[1]["reasons"] == [reason]
    assert numbers(root) == []


def test_rolling_back_serves_the_version_before_and_keeps_the_other(twofold, make, root):
    first, second = make(), make()
    twofold("promote", str(first), str(root))
    twofold("promote", str(second), str(root))

    outcome = twofold("rollback", str(root))

    assert outcome.status == 0
    assert outcome.out.strip() == f"version 1 of {root} is the newest again; withdrawn: 2"
    assert numbers(root) == [1]
    assert file_checksums(root / "withdrawn" / "2") == file_checksums(second)
    entry = log_of(root)[-1]
    assert entry["decision"] == "rolled_back"
    assert (entry["version"], entry["from_version"], entry["withdrawn"]) == (1, 2, [2])
    # It does not come back by itself, and its number is not given again.
    (reason,) = reasons_of(twofold("promote", str(second), str(root)))
    assert reason == "it was withdrawn as version 2: `twofold rollback --to 2` brings it back"
    assert twofold("promote", str(make()), str(root)).status == 0
    assert numbers(root) == [1, 3]


def test_a_rollback_can_be_undone(twofold, make, root):
    for _ in range(3):
        twofold("promote", str(make()), str(root))

    assert twofold("rollback", str(root), "--to", "1").status == 0
    assert numbers(root) == [1]
    assert twofold("rollback", str(root), "--to", "3").status == 0
    assert numbers(root) == [1, 3]
    lineage = read_lineage(root / "3")
    assert lineage is not None
    assert lineage.checkpoint == f"{2:064}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "has no version before 1: name a withdrawn one with --to, of which there are none"),
        (["--to", "1"], "is the one that is served"),
        (["--to", "5"], "has no version 5: expected one of 1"),
    ],
)
def test_a_rollback_to_nowhere_changes_nothing(twofold, make, root, options, message):
    twofold("promote", str(make()), str(root))

    outcome = twofold("rollback", str(root), *options)

    assert outcome.status == 1
    assert message in outcome.error
    assert numbers(root) == [1]
    assert len(log_of(root)) == 1


def test_a_damaged_version_is_not_rolled_back_to(twofold, make, root):
    for _ in range(2):
        twofold("promote", str(make()), str(root))
    (root / "1" / "saved_model.pb").write_bytes(b"")

    outcome = twofold("rollback", str(root))

    assert outcome.status == 1
    assert "version 1" in outcome.error
    assert "saved_model.pb is damaged" in outcome.error
    assert numbers(root) == [1, 2]


def test_an_empty_root_has_nothing_to_roll_back(twofold, tmp_path):
    outcome = twofold("rollback", str(tmp_path))

    assert outcome.status == 1
    assert "has no version to roll back from" in outcome.error
    assert "no such serving root" in twofold("rollback", str(tmp_path / "missing")).error
