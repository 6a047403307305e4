"""Pictures of sprites: what is written below them, and what is drawn in red where."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots import sprite_plots
from twofold.components.evaluation.plots.sprite_plots import plot_latent_values, plot_positions

IMAGES = np.zeros((7, 64, 64, 1), np.uint8)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    figures: list[Figure] = []

    def keep(figure: Figure, path: Path) -> None:
        figures.append(figure)

    monkeypatch.setattr(sprite_plots, "write_png", keep)
    return figures


def test_latents_are_written_below_each_image(drawn: list[Figure], tmp_path: Path) -> None:
    latents = np.arange(14).reshape(7, 2) / 4
    plot_latent_values(IMAGES, latents, ("scale", "posX"), tmp_path / "a.png", "some")
    labels = [panel.get_xlabel() for panel in drawn[0].axes if panel.get_visible()]
    assert len(labels) == 7
    assert labels[1] == "scale 0.5\nposX 0.75"


def test_centres_lie_in_a_box_that_is_parted_by_boundaries(
    drawn: list[Figure], tmp_path: Path
) -> None:
    centres = np.array([[0, 0], [1, 1], [0.5, 0.25], *[[0.5, 0.5]] * 4])
    plot_positions(IMAGES, centres, tmp_path / "a.png", "some", boundaries=(0.25,))
    panels: list[Any] = [panel for panel in drawn[0].axes if panel.get_visible()]
    (box,) = panels[0].patches
    # 16 of 64 pixels on each side, from the edge of a pixel, whose middle is at a whole number.
    assert box.get_bbox().bounds == (15.5, 15.5, 32, 32)
    found = []
    for panel in panels[:3]:
        boundary, centre = panel.lines
        np.testing.assert_allclose(boundary.get_xdata(), [23.5, 23.5])
        np.testing.assert_allclose(boundary.get_ydata(), [15.5, 47.5])
        found.append([float(one[0]) for one in (centre.get_xdata(), centre.get_ydata())])
    assert found == [[15.5, 15.5], [47.5, 47.5], [31.5, 23.5]]


def test_a_picture_is_written(tmp_path: Path) -> None:
    plot_positions(IMAGES, np.full((7, 2), 0.5), tmp_path / "new" / "a.png", "some")
    with Image.open(tmp_path / "new" / "a.png") as picture:
        assert picture.size[0] > picture.size[1] > 200


@pytest.mark.parametrize("count", [0, 7])
def test_shapes_that_do_not_fit_are_refused(count: int, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"A figure of sprites needs images \[n, H, W, C\]"):
        plot_positions(IMAGES[:count], np.zeros((count, 3)), tmp_path / "a.png", "some")


def test_centres_beyond_the_box_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"in \[0, 1\] across their box, but they go from"):
        plot_positions(IMAGES, np.full((7, 2), 1.5), tmp_path / "a.png", "some")
