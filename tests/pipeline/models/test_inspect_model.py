import pytest

from tests import forked
from tests.exported import describe, save_tiny
from twofold.components.export.proof import smoke_test
from twofold.components.export.proof.smoke_test import Answers, ask


@pytest.fixture
def version(tmp_path):
    return describe(save_tiny(tmp_path / "models" / "3"))


def test_a_model_is_told_and_found_intact_in_a_process_of_its_own(twofold, version, monkeypatch):
    monkeypatch.setattr(smoke_test, "subprocess", forked)
    (version.parent / "2").mkdir()
    (version.parent / "encoder.tflite").write_bytes(bytes(2048))

    outcome = twofold("inspect", str(version.parent))

    assert outcome.status == 0, outcome.out
    lines = outcome.out.splitlines()
    assert lines[0] == str(version)
    assert lines[1].startswith("sha256 ")
    for line in [
        "  serving_default (tensorflow/serving/predict)",
        "    takes image_bytes string [?]",
        "    gives logits float32 [?,2]",
        "heads: serving_default",
        "classes: 2 (cat, dog)",
        "pixels: 2 x 2 x 1",
        "run: tiny",
        f"data: pets {'f' * 16}; 100 test, 900 train",
        "licence of the data: not stated",
        f"checkpoint: sha256 {'c' * 64}",
        "made by: python 3.11.7, twofold 0.1.0",
        "metrics, on 100 images of test:",
        "  linear_probe/test_accuracy: 90.00% (95 % interval 82.56% to 94.48%)",
        "  pretrain/loss: 1.5",
        f"for LiteRT: {version.parent / 'encoder.tflite'}, 2 KiB",
        "passed: loads: in a fresh process through TensorFlow Serving's loader",
        "passed: answers: 4 warmup requests are answered, and 3 recorded embeddings are those of "
        "now",
    ]:
        assert line in lines, line
    assert lines[-1] == "intact"


def test_damage_is_told_and_ends_with_status_1(twofold, version, monkeypatch):
    monkeypatch.setattr("twofold.components.export.proof.inspection.run_smoke_test", ask)
    (version / "assets.extra" / "model_card.md").unlink()

    outcome = twofold("inspect", str(version))

    assert outcome.status == 1
    lines = outcome.out.splitlines()
    assert "FAILED: checksums: assets.extra/model_card.md is missing" in lines
    assert lines[-1] == "1 problem: damaged"


def test_a_model_of_others_is_told_without_what_it_does_not_record(twofold, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "twofold.components.export.proof.inspection.run_smoke_test",
        lambda version, runs: Answers((), loaded=True),
    )

    outcome = twofold("inspect", str(save_tiny(tmp_path / "1", head=False)))

    assert outcome.status == 0
    assert "heads: none" in outcome.out
    assert "not verified: lineage: it records no lineage" in outcome.out
    assert "not verified: answers: it records no requests" in outcome.out
    assert outcome.out.splitlines()[-1] == "intact"


def test_a_directory_without_a_model_is_one_line(twofold, tmp_path):
    outcome = twofold("inspect", str(tmp_path))

    assert outcome.status == 1
    assert outcome.error.startswith(f"error: {tmp_path} holds no exported model: expected")
    assert outcome.error.count("\n") == 1
