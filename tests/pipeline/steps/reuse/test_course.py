"""A training goes on with settings that do not make it another, and its record says so."""

import shutil
from pathlib import Path

import pytest

from tests.pipeline.steps.reuse.conftest import LOOP, Edit, Runs
from twofold.components.errors import (
    ConfigError,
    OtherCodeError,
    OtherConfigurationError,
    UsageError,
)
from twofold.components.training.continuing.start_report import write_start
from twofold.pipeline.steps.reuse import fingerprints

HARMLESS = (
    "training.log_every=3",
    "training.checkpoint_every_epochs=2",
    "training.checkpoint_minutes=3",
    "training.validation_images=7",
    "training.compile=none",
    "training.replicas=2",
)


def _interrupt(runs: Runs, step: int) -> None:
    (runs.path / "checkpoints" / f"ckpt-{step}.index").touch()
    runs.change(pretrain={"status": "interrupted"}, evaluate={"status": "failed"})


def test_settings_that_change_no_result_keep_a_finished_run(runs: Runs) -> None:
    before = runs.entry("pretrain")
    assert runs("ask", *HARMLESS) == []
    assert runs.superseded == []
    assert runs.entry("pretrain") == before
    assert not any("nothing is left to train" in line for line in runs.said)


def test_a_finished_run_of_before_is_kept_too(runs: Runs) -> None:
    # Which recorded all settings, and no course.
    recorded = runs.entry("pretrain")["inputs"]
    recorded["training"] |= {"log_every": 99, "compile": "views", "replicas": None}
    runs.change(pretrain={"inputs": recorded, "training": None, "course": None})
    assert runs("ask", *HARMLESS) == []


def test_a_training_goes_on_with_what_changes_rounding_and_records_it(runs: Runs) -> None:
    began = runs.entry("pretrain")
    assert [part["step"] for part in began["course"]] == [0]
    _interrupt(runs, 21)
    assert runs("ask", *HARMLESS)[0] == "pretrain"
    told = "goes on from step 21 with training.compile=none (before: auto), training.replicas=2 "
    assert f"pretrain: {told}(before: null)" in runs.said
    gone_on = runs.entry("pretrain")
    assert gone_on["course"] == [
        *began["course"],
        {"step": 21, "settings": {"compile": "none", "replicas": 2}},
    ]
    assert gone_on["training"] == began["training"]
    assert gone_on["fingerprint"] == began["fingerprint"], "rounding makes no other weights"
    # A second interruption with the same settings goes on as the first.
    _interrupt(runs, 28)
    assert runs("ask", *HARMLESS)[0] == "pretrain"
    assert runs.entry("pretrain")["course"] == gone_on["course"]
    # The curves' interval alone is nothing to record.
    _interrupt(runs, 30)
    assert runs("ask", *HARMLESS[1:])[0] == "pretrain"
    assert runs.entry("pretrain")["course"] == gone_on["course"]


def test_a_training_of_other_settings_is_refused_and_named_alone(runs: Runs) -> None:
    with pytest.raises(OtherConfigurationError) as refusal:
        runs("ask", *HARMLESS, "training.learning_rate=0.5")
    assert "training.learning_rate: 0.001 there, 0.5 here" in str(refusal.value)
    assert "log_every" not in str(refusal.value)
    assert "compile" not in str(refusal.value)


def test_a_rule_goes_on_with_another_patience(runs: Runs) -> None:
    rule = "training.early_stopping={patience: 3}"
    assert runs("update", rule)[0] == "pretrain"
    began = runs.entry("pretrain")
    # A finished training has nothing left to be patient about.
    other = "training.early_stopping={patience: 4}"
    assert runs("ask", other) == []
    told = "training.early_stopping.patience=4 (before: 3)"
    assert f"pretrain: nothing is left to train with {told}" in runs.said
    _interrupt(runs, 21)
    assert runs("ask", other)[0] == "pretrain"
    assert f"pretrain: goes on from step 21 with {told}" in runs.said
    assert runs.entry("pretrain")["fingerprint"] != began["fingerprint"]
    assert runs.entry("pretrain")["training"] == began["training"]
    with pytest.raises(OtherConfigurationError, match=r"early_stopping\.metric"):
        runs("ask", "training.early_stopping={patience: 4, metric: accuracy}")


def test_an_update_names_what_it_moves_away(runs: Runs) -> None:
    runs.change(**{one: {"seconds": 0.0} for one in STEPS})
    assert runs("update", "training.learning_rate=0.5")[0] == "pretrain"
    told = next(line for line in runs.said if "replaces" in line)
    assert told.startswith("pretrain: replaces pretrain (0 s), evaluate (0 s), export (0 s); ")
    assert told.endswith(": checkpoints, embeddings, figures, saved_model")


def test_an_update_names_a_training_that_it_moves_away_unfinished(runs: Runs) -> None:
    _interrupt(runs, 21)
    runs.change(export={"status": "failed"})
    assert runs("update", "training.learning_rate=0.5")[0] == "pretrain"
    told = next(line for line in runs.said if "replaces" in line)
    assert told.startswith("pretrain: replaces an unfinished training; ")
    assert "checkpoints" in told.rpartition(": ")[2]
    assert "checkpoints/ckpt-21.index" in runs.superseded


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        ("pretrain", "pretrain: replaces what an attempt left that trained nothing; "),
        ("evaluate", "evaluate: replaces what an unfinished evaluation left; "),
    ],
)
def test_what_an_attempt_left_is_called_by_its_step(runs: Runs, failed: str, words: str) -> None:
    after = STEPS[STEPS.index(failed) :]
    runs.change(**{one: {"status": "failed"} for one in after})
    other = {
        "pretrain": "training.learning_rate=0.5",
        "evaluate": "evaluation.probe_epochs=7",
    }
    assert runs("update", other[failed]) == after
    assert any(line.startswith(words) for line in runs.said)


STEPS = ["pretrain", "evaluate", "export"]


def _finish(runs: Runs, epochs: int, *settings: str) -> None:
    """Trains, evaluates and exports anew, and leaves the last checkpoint."""
    assert runs("update", f"training.epochs={epochs}", *settings)[0] == "pretrain"
    (runs.path / "checkpoints" / f"ckpt-{7 * epochs}.index").touch()


def test_more_epochs_continue_a_finished_run_as_is_chosen(runs: Runs) -> None:
    _finish(runs, 3)
    before = runs.entry("pretrain")
    final = (runs.path / "checkpoints" / "final" / "weights.index").read_bytes()
    moved = len(runs.superseded)
    with pytest.raises(ConfigError) as refusal:
        runs("ask", "training.epochs=4")
    assert "stretched" in str(refusal.value)
    assert "restarted" in str(refusal.value)
    assert runs.entry("pretrain") == before
    assert len(runs.superseded) == moved

    longer = ("training.epochs=4", "training.continue_schedule=restarted")
    assert runs("ask", *longer) == STEPS
    told = "goes on from step 21 with training.epochs=4 (before: 3), "
    assert f"pretrain: {told}training.continue_schedule=restarted (before: null)" in runs.said
    kept = next(line for line in runs.said if "trains on what was finished" in line)
    assert kept.endswith(": checkpoints/final, embeddings, figures, saved_model")
    after = runs.entry("pretrain")
    assert after["course"] == [
        *before["course"],
        {"step": 21, "settings": {"epochs": 4, "continue_schedule": "restarted"}},
    ]
    assert after["training"] == before["training"]
    assert after["fingerprint"] != before["fingerprint"]
    assert after["attempts"] == before["attempts"] + 1
    assert runs.entry("evaluate")["inputs"]["pretrain"] == after["fingerprint"]
    assert (runs.path / "checkpoints" / "ckpt-21.index").exists()
    old = next(runs.path.glob("superseded/*/checkpoints/final/weights.index"))
    assert old.read_bytes() == final
    assert (old.parents[1] / "model.json").exists()
    # Nothing is left; nor where the choice is not given again.
    assert runs("ask", *longer) == []
    assert runs("ask", "training.epochs=4") == []


def test_a_continued_run_that_was_killed_goes_on_as_it_was(runs: Runs) -> None:
    _finish(runs, 3, "training.schedule=constant")
    longer = ("training.epochs=4", "training.schedule=constant")
    assert runs("ask", *longer) == STEPS
    course = runs.entry("pretrain")["course"]
    for step in (21, 25):
        _interrupt(runs, step)
        # Known until the step has recorded it anew.
        runs.change(pretrain={"details": {"steps_per_epoch": 7}})
        assert runs("ask", *longer) == STEPS
        assert runs.entry("pretrain")["course"] == course


def test_an_unfinished_cosine_is_stretched_and_that_is_said(runs: Runs) -> None:
    _finish(runs, 3)
    (runs.path / "checkpoints" / "ckpt-21.index").unlink()
    _interrupt(runs, 14)
    assert runs("ask", "training.epochs=5")[0] == "pretrain"
    told = "goes on from step 14 with training.epochs=5 (before: 3), the cosine of the rate "
    assert f"pretrain: {told}stretched to the new end" in runs.said


def test_fewer_epochs_than_were_trained_are_refused_and_an_update_begins_anew(runs: Runs) -> None:
    _finish(runs, 3)
    before = runs.entry("pretrain")
    with pytest.raises(OtherConfigurationError, match=r"longer than training.epochs=2, 21 steps"):
        runs("ask", "training.epochs=2")
    assert runs.entry("pretrain") == before
    assert runs("update", "training.epochs=2") == STEPS
    assert [part["step"] for part in runs.entry("pretrain")["course"]] == [0]
    assert "checkpoints/ckpt-21.index" in runs.superseded
    assert not list((runs.path / "checkpoints").glob("ckpt-*"))
    assert runs.entry("pretrain")["attempts"] == 1


def test_a_training_without_a_checkpoint_is_not_continued(runs: Runs) -> None:
    with pytest.raises(UsageError, match="holds no checkpoint that training could go on from"):
        runs("ask", "training.epochs=61", "training.continue_schedule=stretched")


def test_more_patience_continues_a_training_that_stopped_early(runs: Runs) -> None:
    rule = "training.early_stopping={{patience: {}}}"
    _finish(runs, 9, rule.format(3))
    details = runs.entry("pretrain")["details"] | {"steps": 42, "stopped_early": True}
    runs.change(pretrain={"details": details})
    (runs.path / "checkpoints" / "ckpt-63.index").rename(
        runs.path / "checkpoints" / "ckpt-42.index"
    )
    # More epochs alone would not be trained.
    assert runs("ask", "training.epochs=12", rule.format(3)) == []
    assert any("nothing is left to train with training.epochs=12" in line for line in runs.said)
    assert runs("ask", "training.epochs=9", rule.format(5)) == STEPS
    told = "goes on from step 42 with training.early_stopping.patience=5 (before: 3)"
    assert f"pretrain: {told}" in runs.said


def test_other_code_is_asked_about_before_a_finished_run_goes_on(runs: Runs, edit: Edit) -> None:
    _finish(runs, 3, "training.schedule=constant")
    longer = ("training.epochs=4", "training.schedule=constant")
    edit(LOOP, "STEPS = 3")
    with pytest.raises(OtherCodeError):
        runs("ask", *longer)
    began = runs.entry("pretrain")["training"]
    assert runs("reuse", *longer)[0] == "pretrain"
    assert runs.entry("pretrain")["training"] == began
    assert [part["step"] for part in runs.entry("pretrain")["course"]] == [0, 21]


def _weights(folder: Path, content: bytes) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "weights.index").write_bytes(content)
    return f"training.start_from={folder}"


def test_a_training_is_known_by_the_content_of_the_weights_that_it_starts_from(
    runs: Runs, tmp_path: Path
) -> None:
    here = _weights(tmp_path / "a", b"1")
    assert runs("update", here) == STEPS
    assert "start_from" not in runs.entry("pretrain")["inputs"]["training"]
    assert runs("ask", here) == []
    # The same weights elsewhere are the same; that the settings differ has to be said.
    there = _weights(tmp_path / "b", b"1")
    with pytest.raises(OtherConfigurationError, match=r"training\.start_from"):
        runs("ask", there)
    assert runs("update", there) == []
    assert runs("update", here) == []
    _weights(tmp_path / "a", b"22")
    with pytest.raises(OtherCodeError, match="from other weights"):
        runs("ask", here)


def test_a_training_that_has_begun_no_longer_needs_the_weights(runs: Runs, tmp_path: Path) -> None:
    here = _weights(tmp_path / "a", b"1")
    assert runs("update", here) == STEPS
    write_start(runs.path / "checkpoints", {"from": str(tmp_path / "a")})
    shutil.rmtree(tmp_path / "a")
    assert runs("ask", here) == []
    # Nor where its images have to be prepared again.
    shutil.rmtree(next(runs.datasets.iterdir()))
    assert runs("ask", here) == ["prepare"]
    with pytest.raises(ConfigError, match="there is no such file"):
        runs("update", f"training.start_from={tmp_path / 'c'}")


def test_a_training_goes_on_though_the_weights_have_changed_since(
    runs: Runs, tmp_path: Path
) -> None:
    here = _weights(tmp_path / "a", b"1")
    assert runs("update", here) == STEPS
    write_start(runs.path / "checkpoints", {"from": str(tmp_path / "a")})
    began = runs.entry("pretrain")
    _interrupt(runs, 14)
    _weights(tmp_path / "a", b"22")
    before = runs.superseded
    assert runs("ask", here)[0] == "pretrain"
    told = next(line for line in runs.said if "holds other weights" in line)
    assert told.startswith(f"pretrain: {here} holds other weights than this training took: it goes")
    assert not any("replaces an unfinished" in line for line in runs.said)
    assert not any("ckpt" in name for name in set(runs.superseded) - set(before))
    assert runs.entry("pretrain")["training"] == began["training"]
    # Once finished, that is no question any more; other weights once more are one.
    assert runs("ask", here) == []
    _weights(tmp_path / "a", b"333")
    with pytest.raises(OtherCodeError, match=r"other weights .* keep it with --reuse, give"):
        runs("ask", here)
    assert runs("reuse", here) == []
    with pytest.raises(OtherCodeError, match="from other weights"):
        runs("ask", here, "training.epochs=9")
    assert runs("update", here)[0] == "pretrain"
    assert "checkpoints/ckpt-14.index" in runs.superseded


def test_a_training_begun_by_other_code_goes_on_each_time(runs: Runs, edit: Edit) -> None:
    _interrupt(runs, 14)
    edit(LOOP, "STEPS = 3")
    began = runs.entry("pretrain")["training"]
    for _ in range(2):
        assert runs("reuse")[0] == "pretrain"
        assert runs.entry("pretrain")["training"] == began
        _interrupt(runs, 14)


def test_an_unfinished_training_on_other_images_is_not_replaced_unasked(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt(runs, 14)
    known = fingerprints.training_images
    other = {"dataset": "of other images"}
    monkeypatch.setattr(fingerprints, "training_images", lambda context: known(context) | other)
    with pytest.raises(OtherCodeError, match="holds a training on other images"):
        runs("ask")
    assert (runs.path / "checkpoints" / "ckpt-14.index").exists()
    assert runs("update")[0] == "pretrain"


def test_a_run_does_not_start_from_itself(runs: Runs) -> None:
    with pytest.raises(ConfigError, match="is this run itself: expected another run; more"):
        runs("update", f"training.start_from={runs.path}")
