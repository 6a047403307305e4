"""Plots of corruptions: gains over a baseline, and sheets of corrupted images."""

import itertools

import numpy as np
import pytest

from tests.components.evaluation.plots.written_figures import pixels
from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots import corruption_plots
from twofold.components.evaluation.plots.corruption_plots import (
    plot_contact_sheet,
    plot_gain,
)
from twofold.components.evaluation.robustness.corruption_robustness import Robustness
from twofold.components.transforms.corruptions.common_corruptions import CORRUPTIONS, EXTRA, MAIN


def measured(names, severities=(1, 2, 3, 4, 5), value=None):
    random = np.random.default_rng(0)
    cells = itertools.product(names, severities)
    return Robustness(
        0.9, {cell: random.uniform(0.1, 0.9) if value is None else value for cell in cells}
    )


@pytest.fixture
def figures(monkeypatch):
    """The figures that were written, as matplotlib holds them."""
    written = []

    def keep(figure, *_, **__):
        written.append(figure)

    monkeypatch.setattr(corruption_plots, "write_png", keep)
    return written


def test_a_cell_is_the_difference_in_points_with_means_beside_and_below(tmp_path, figures):
    cells = {("fog", 1): 0.6, ("fog", 5): 0.4, ("snow", 1): 0.8, ("snow", 5): 0.5}
    ours = Robustness(0.9, cells | {("saturate", 1): 0.7, ("saturate", 5): 0.6})
    baseline = Robustness(0.8, dict.fromkeys(ours.accuracies, 0.5))
    plot_gain(ours, baseline, tmp_path / "gain.png", "Gain, $ or no $")

    panel = figures[0].axes[0]
    rows = [label.get_text() for label in panel.get_yticklabels()]
    assert rows == ["snow", "fog", "mean of these", "saturate"]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["1", "5", "mean"]
    expected = np.array([[30, 0, 15], [10, -10, 0], [20, -5, 7.5], [20, 10, 15]])
    np.testing.assert_allclose(panel.images[0].get_array(), expected, atol=1e-9)
    assert panel.images[0].get_clim() == pytest.approx((-30, 30))
    texts = [text.get_text() for text in panel.texts]
    assert texts[:6] == ["+30.0", "+0.0", "+15.0", "+10.0", "-10.0", "+0.0"]
    assert panel.get_xlabel() == "severity (without any corruption +10.0)"
    assert figures[0].get_suptitle() == r"Gain, \$ or no \$"


@pytest.mark.parametrize(
    ("names", "severities"),
    [([*CORRUPTIONS], (1, 2, 3, 4, 5)), (MAIN, (3,)), (EXTRA, (1, 5)), (("fog",), (2,))],
)
def test_any_choice_is_drawn_in_a_small_file(tmp_path, names, severities):
    path = tmp_path / "new" / "gain.png"
    ours = measured(names, severities)
    plot_gain(ours, measured(names, severities, value=0.5), path)

    assert path.stat().st_size < 150_000
    assert max(pixels(path).shape[:2]) < 1200


def test_better_is_blue_worse_is_red_and_the_same_is_white(tmp_path):
    found = []
    for value in (0.2, 0.5, 0.8):
        ours, baseline = measured(MAIN, value=value), measured(MAIN, value=0.5)
        plot_gain(ours, baseline, tmp_path / "gain.png", "Gain")
        drawn = pixels(tmp_path / "gain.png")
        height, width = drawn.shape[:2]
        middle = drawn[height // 4 : height // 2, width // 3 : width // 2].reshape(-1, 3)
        colours, counts = np.unique(middle, axis=0, return_counts=True)
        found.append(colours[counts.argmax()])
    worse, same, better = found
    assert worse[0] > worse[2] + 50
    assert better[2] > better[0] + 50
    assert same.min() > 230


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_shows_every_pixel_in_its_own_colour(tmp_path, channels):
    random = np.random.default_rng(0)
    rows = {
        "one": random.integers(0, 256, (2, 16, 24, channels), np.uint8),
        "two": random.integers(0, 256, (2, 16, 24, channels), np.uint8),
    }

    plot_contact_sheet(rows, ["clean", "spoilt"], tmp_path / "sheet.png")

    # Enlarged four times, 96 pixels wide, with a border of 2 pixels; margins are left and above.
    drawn = pixels(tmp_path / "sheet.png")
    sheet = drawn[-2 * (64 + 4) :, -2 * (96 + 4) :]
    first = sheet[2 : 2 + 64, 2 : 2 + 96]
    last = sheet[68 + 2 : 68 + 2 + 64, 100 + 2 : 100 + 2 + 96]
    for shown, image in ((first, rows["one"][0]), (last, rows["two"][1])):
        enlarged = np.broadcast_to(image, (16, 24, 3)).repeat(4, axis=0).repeat(4, axis=1)
        np.testing.assert_allclose(shown, enlarged, atol=1)


def test_a_title_takes_room(tmp_path):
    rows = {"one": np.zeros((1, 8, 8, 1), np.uint8)}
    heights = []
    for title in (None, "A title"):
        plot_contact_sheet(rows, ["clean"], tmp_path / "sheet.png", title)
        heights.append(len(pixels(tmp_path / "sheet.png")))
    assert heights[1] > heights[0]


@pytest.mark.parametrize(
    "rows",
    [
        {},
        {"one": np.zeros((3, 8, 8, 3), np.uint8)},
        {"one": np.zeros((2, 8, 8, 2), np.uint8)},
        {"one": np.zeros((2, 8, 8), np.uint8)},
        {"one": np.zeros((2, 8, 8, 3), np.uint8), "two": np.zeros((2, 8, 9, 3), np.uint8)},
    ],
)
def test_a_sheet_of_other_shapes_is_refused(tmp_path, rows):
    with pytest.raises(EvaluationError, match="A sheet of 2 columns needs rows"):
        plot_contact_sheet(rows, ["clean", "spoilt"], tmp_path / "sheet.png")
