"""Runs on some of the training images: who sees them, and what is done again for others."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.pipeline.conftest import Outcome, short_run

Twofold = Callable[..., Outcome]


def _steps(run: Path) -> dict[str, dict[str, Any]]:
    steps: dict[str, dict[str, Any]] = json.loads((run / "run.json").read_text())["steps"]
    return steps


def test_training_and_probe_see_the_chosen_images_and_other_choices_train_anew(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    def measure(*settings: str) -> Outcome:
        arguments = short_run(two_classes, tmp_path, *settings)
        return twofold(*arguments, "--until=evaluate", "--update")

    def embedded(split: str) -> np.ndarray:
        found: np.ndarray = np.load(run / f"embeddings/{split}.npy")
        return found

    run = tmp_path / "folder_simclr"
    every = "data.training_rules=[{label: [0, 0]}, {label: [1, 1]}]"
    assert measure("data.training_images=17", every).status == 0
    first = _steps(run)
    # Batches of 8.
    assert first["pretrain"]["details"]["steps"] == 17 // 8
    assert len(embedded("train")) == 17
    count = len(embedded("test"))
    assert first["evaluate"]["details"]["images"] == {"train": 17, "test": count}

    again = measure("data.training_images=17", every)
    assert again.status == 0
    assert _steps(run) == first, "nothing was done again"

    assert measure("data.training_images=9", every).status == 0
    second = _steps(run)
    assert second["prepare"] == first["prepare"]
    assert second["pretrain"]["fingerprint"] != first["pretrain"]["fingerprint"]
    assert second["pretrain"]["details"]["steps"] == 9 // 8
    assert (len(embedded("train")), len(embedded("test"))) == (9, count)

    assert measure("data.training_images=9").status == 0
    third = _steps(run)
    assert third["prepare"] == first["prepare"]
    assert third["pretrain"]["fingerprint"] != second["pretrain"]["fingerprint"]
