"""`--format` says which files an export leaves beside the SavedModel."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests import forked
from tests.pipeline.conftest import Outcome, short_run
from twofold.components.errors import ConfigError, ConversionError
from twofold.components.export.convert import convert_process
from twofold.components.export.proof import inspection
from twofold.components.export.proof.smoke_test import ask
from twofold.pipeline.config import RunConfig, override

Twofold = Callable[..., Outcome]


def _record(run: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run / "run.json").read_text())
    return record


@pytest.mark.usefixtures("proved_here")
def test_files_for_other_runtimes_come_and_go_without_training_again(
    twofold: Twofold, two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert_process, "subprocess", forked)
    monkeypatch.setattr(inspection, "run_smoke_test", ask)
    arguments = short_run(two_classes, tmp_path, "data.licence=CC0")
    run = tmp_path / "folder_simclr"
    ended = twofold(*arguments, "--format", "saved_model,onnx,keras")
    assert ended.status == 0, ended.error
    files = {path.name for path in (run / "runtimes").iterdir()}
    assert files == {"encoder.onnx", "encoder.keras", "encoder.weights.h5"}
    record = _record(run)
    metrics, steps = json.loads((run / "metrics.json").read_text()), record["steps"]
    assert metrics["export/onnx/bytes"] == (run / "runtimes/encoder.onnx").stat().st_size
    assert metrics["export/onnx/max_difference"] < 1e-3
    assert next(one["path"] for one in steps["export"]["details"]["formats"]) == (
        "runtimes/encoder.onnx"
    )

    # The file answers as the offline embeddings are.
    session = onnxruntime.InferenceSession(run / "runtimes/encoder.onnx")
    sample = np.load(run / "saved_model/1/assets.extra/sample.npz")
    answer = session.run(["embedding"], {session.get_inputs()[0].name: sample["images"]})[0]
    np.testing.assert_allclose(answer, sample["embeddings"], rtol=1e-3, atol=1e-4)

    inspected = twofold("inspect", str(run / "saved_model"))
    assert inspected.status == 0, inspected.out + inspected.error
    assert "licence of the data: CC0" in inspected.out
    assert "encoder.onnx" in inspected.out

    fewer = twofold(*arguments)
    assert fewer.status == 0, fewer.error
    assert "pretrain: finished before, reused" in fewer.out
    assert "evaluate: finished before, reused" in fewer.out
    assert "export: done" in fewer.out
    assert not (run / "runtimes").exists()
    assert _record(run)["steps"]["pretrain"] == steps["pretrain"]


@pytest.mark.usefixtures("proved_here")
def test_a_refused_file_takes_the_others_with_it_and_leaves_the_proven_model(
    twofold: Twofold, two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **settings: object) -> None:
        raise ConversionError("encoder.onnx does not answer as the original")

    monkeypatch.setattr("twofold.pipeline.steps.export_formats.convert", refuse)
    ended = twofold(*short_run(two_classes, tmp_path), "--format", "saved_model,onnx")
    run = tmp_path / "folder_simclr"
    assert ended.status == 1
    assert "encoder.onnx does not answer as the original; no file is left" in ended.error
    assert "leave the format out of --format (saved_model,onnx)" in ended.error
    assert not (run / "runtimes").exists()
    assert (run / "saved_model/1/saved_model.pb").is_file()


@pytest.mark.parametrize("formats", ["tflite", "onnx,onnx"])
def test_a_format_that_is_unknown_or_named_twice_is_refused(formats: str) -> None:
    with pytest.raises(ConfigError, match=r"export\.formats"):
        override(RunConfig(), [f"export.formats=[{formats}]"])
