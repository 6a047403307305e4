"""A training goes on with settings that do not make it another, and its record says so."""

import pytest

from tests.pipeline.steps.reuse.conftest import Runs
from twofold.components.errors import OtherConfigurationError

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
    assert runs("update", "training.learning_rate=0.5")[0] == "pretrain"
    told = next(line for line in runs.said if "replaces" in line)
    assert told.startswith("pretrain: replaces pretrain (0 s), evaluate (0 s), export (0 s); ")
    assert told.endswith(": checkpoints, embeddings, figures, saved_model")


def test_an_update_names_a_training_that_it_moves_away_unfinished(runs: Runs) -> None:
    _interrupt(runs, 21)
    assert runs("update", "training.learning_rate=0.5")[0] == "pretrain"
    told = next(line for line in runs.said if "replaces" in line)
    assert "checkpoints" in told.rpartition(": ")[2]
    assert "checkpoints/ckpt-21.index" in runs.superseded
