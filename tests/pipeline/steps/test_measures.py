"""Embeddings are made once; every measure reads them, also when others are asked for later."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.pipeline.conftest import Outcome, short_run

Twofold = Callable[..., Outcome]
MORE = (
    "evaluation.baselines=[projector,pixels,random]",
    "evaluation.label_fractions=[0.25,0.5]",
    "method.projector=[6]",
)


def _call(twofold: Twofold, images: Path, workdir: Path, *settings: str) -> dict[str, float]:
    arguments = short_run(images, workdir, "method.projector=[6]", *settings)
    ended = twofold(*arguments, "--update", "--until", "evaluate")
    assert ended.status == 0, ended.error
    metrics: dict[str, float] = json.loads((workdir / "folder_simclr/metrics.json").read_text())
    return metrics


def test_measures_asked_for_later_read_the_embeddings_that_are_there(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    first = _call(twofold, two_classes, tmp_path)
    run = tmp_path / "folder_simclr"
    arrays = [run / "embeddings" / f"{split}.npy" for split in ("train", "test")]
    before = [path.stat().st_mtime_ns for path in arrays]
    metrics = _call(twofold, two_classes, tmp_path, *MORE)
    assert [path.stat().st_mtime_ns for path in arrays] == before
    assert {name: metrics[name] for name in first} == first

    for part in ("projector", "pixels", "random"):
        assert 0 <= metrics[f"linear_probe_{part}/test_accuracy"] <= 1
    fractions = (f"label_fraction/{fraction}" for fraction in ("0.25", "0.5"))
    for measure in ("linear_probe", "recipe_probe", "knn", *fractions):
        name = f"{measure}/test_accuracy"
        assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"]
    for name in ("clustering/nmi", "retrieval/map", "calibration/ece", "embedding/alignment"):
        assert name in metrics
    for figure in ("reliability", "confusion"):
        assert (run / "figures" / f"{figure}.png").is_file()
    widths = {
        part: np.load(run / "embeddings" / f"test_{part}.npy", mmap_mode="r").shape[1]
        for part in ("projector", "pixels", "random")
    }
    assert widths == {"projector": 6, "pixels": 16 * 16 * 3, "random": 8}
    keys = np.load(run / "embeddings" / "test_keys.npy", allow_pickle=False)
    assert len(keys) == len(np.load(arrays[1])) == len(set(keys.tolist()))


def test_the_recipes_probe_can_read_the_projections_and_leaves_a_value_an_epoch(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    metrics = _call(
        twofold,
        two_classes,
        tmp_path,
        "evaluation.probe_reads=projections",
        "evaluation.probe_epochs=3",
        "evaluation.probe_optimizer=lamb",
        "evaluation.probe_penalty=0.02",
        "evaluation.probe_last_batch=drop",
        "evaluation.probe_initializer=keras",
        "evaluation.probe_schedule_epochs=null",
    )
    run = tmp_path / "folder_simclr"
    details = json.loads((run / "run.json").read_text())["steps"]["evaluate"]["details"]
    accuracies = details["recipe_probe"]["test_accuracy"]
    assert len(accuracies) == len(details["recipe_probe"]["loss"]) == 3
    assert accuracies[-1] == metrics["recipe_probe/test_accuracy"]
    for figure in ("probe_loss", "probe_accuracy"):
        assert (run / "figures" / f"{figure}.png").is_file()
    # The projector is embedded for the probe alone.
    assert "linear_probe_projector/test_accuracy" not in metrics


def test_no_sweep_and_no_more_measures_leave_the_settings_as_they_are(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    metrics = _call(
        twofold,
        two_classes,
        tmp_path,
        "evaluation.measures=[]",
        "evaluation.neighbour_sweep=[]",
        "evaluation.regularisation_sweep=[]",
        "evaluation.neighbours=3",
    )
    record = json.loads((tmp_path / "folder_simclr/run.json").read_text())
    chosen = record["steps"]["evaluate"]["details"]["chosen"]
    assert (chosen["neighbours"], chosen["regularisation"]) == (3, 1.0)
    assert not [name for name in metrics if name.startswith(("clustering", "retrieval"))]
