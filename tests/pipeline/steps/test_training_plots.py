"""The picture of views that a training leaves."""

from pathlib import Path

import numpy as np
import pytest

from twofold.components.data.reading.split import Split
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.recipes import load_recipe
from twofold.pipeline.steps.plots import training_plots


def rows_of(
    config: RunConfig, run: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], np.ndarray]:
    found: list[tuple[list[str], np.ndarray]] = []

    def keep(originals: np.ndarray, views: np.ndarray, path: Path, name: list[str]) -> None:
        found.append((name, views))

    monkeypatch.setattr(training_plots, "plot_views", keep)
    monkeypatch.setattr(training_plots, "_show_in_tensorboard", lambda run, path: None)
    images = np.full((3, 8, 8, 3), 128, np.uint8)
    split = Split(
        images=images,
        labels=np.zeros(3, np.int32),
        keys=np.array(["a", "b", "c"]),
        latents=np.zeros((3, 0), np.float32),
        class_names=(),
        latent_names=(),
        name="train",
    )
    training_plots.plot_training_views(config, split, run)
    return found[0]


def test_a_weak_view_of_the_probe_stands_above_the_strong_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Recipe A's grid: original, weak, strong, strong. Its colours tell them apart: a grey of 0.5
    # stays within 0.5 * (0.3 + 3 * 0.1) of itself under the weak policy.
    names, views = rows_of(load_recipe("stl10_simclr"), tmp_path, monkeypatch)
    assert names == ["the probe's view", "view 1", "view 2"]
    weak, first, second = np.abs(views - 128 / 255).max(axis=(1, 2, 3, 4))
    assert weak <= 0.3 + 0.002
    assert not np.array_equal(views[1], views[2])
    assert max(first, second) > 0.0


def test_without_views_of_its_own_the_probe_has_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = override(load_recipe("stl10_simclr"), ["probe_views=null"])
    names, views = rows_of(config, tmp_path, monkeypatch)
    assert names == ["view 1", "view 2"]
    assert len(views) == 2
