import itertools

import numpy as np
import pytest
from PIL import Image

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots.corruption_plots import (
    draw_contact_sheet,
    draw_gain,
    draw_robustness,
)
from twofold.components.evaluation.robustness.corruption_robustness import Robustness
from twofold.components.transforms.corruptions.corruptions import CORRUPTIONS, EXTRA, MAIN


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def measured(names, severities=(1, 2, 3, 4, 5), value=None):
    random = np.random.default_rng(0)
    cells = itertools.product(names, severities)
    return Robustness(
        0.9, {cell: random.uniform(0.1, 0.9) if value is None else value for cell in cells}
    )


@pytest.mark.parametrize(
    ("names", "severities"),
    [([*CORRUPTIONS], (1, 2, 3, 4, 5)), (MAIN, (3,)), (EXTRA, (1, 5)), (("fog",), (2,))],
)
def test_a_heat_map_of_any_choice_is_drawn(tmp_path, names, severities):
    path = tmp_path / "new" / "robustness.png"

    draw_robustness(measured(names, severities), path, "Accuracy, $ or no $")

    drawn = pixels(path)
    assert path.stat().st_size < 150_000
    assert min(drawn.shape[:2]) > 100
    assert max(drawn.shape[:2]) < 1200
    assert (drawn[0, 0] == 255).all()
    assert [entry.name for entry in path.parent.iterdir()] == ["robustness.png"]


def test_more_corruptions_make_it_higher_and_more_severities_wider(tmp_path):
    sizes = []
    for names, severities in ((MAIN, (1, 2)), ([*CORRUPTIONS], (1, 2)), (MAIN, (1, 2, 3))):
        draw_robustness(measured(names, severities), tmp_path / "map.png")
        sizes.append(pixels(tmp_path / "map.png").shape[:2])
    assert sizes[1][0] > sizes[0][0]
    assert sizes[2][1] > sizes[0][1]


def test_good_is_light_and_bad_is_dark(tmp_path):
    lightness = []
    for value in (0.0, 0.45, 0.9):
        draw_robustness(measured(MAIN, value=value), tmp_path / "map.png")
        drawn = pixels(tmp_path / "map.png")
        height, width = drawn.shape[:2]
        middle = drawn[height // 4 : height // 2, width // 3 : width // 2].reshape(-1, 3)
        colours, counts = np.unique(middle, axis=0, return_counts=True)
        lightness.append(colours[counts.argmax()].sum())
    assert lightness[0] < lightness[1] < lightness[2]


def test_better_is_blue_worse_is_red_and_the_same_is_white(tmp_path):
    found = []
    for value in (0.2, 0.5, 0.8):
        ours, baseline = measured(MAIN, value=value), measured(MAIN, value=0.5)
        draw_gain(ours, baseline, tmp_path / "gain.png", "Gain")
        drawn = pixels(tmp_path / "gain.png")
        height, width = drawn.shape[:2]
        middle = drawn[height // 4 : height // 2, width // 3 : width // 2].reshape(-1, 3)
        colours, counts = np.unique(middle, axis=0, return_counts=True)
        found.append(colours[counts.argmax()])
    worse, same, better = found
    assert worse[0] > worse[2] + 50
    assert better[2] > better[0] + 50
    assert same.min() > 230


def test_nothing_right_anywhere_can_be_drawn(tmp_path):
    draw_robustness(Robustness(0.0, {("fog", 1): 0.0}), tmp_path / "map.png")

    assert pixels(tmp_path / "map.png").shape[0] > 50


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_shows_every_pixel_in_its_own_colour(tmp_path, channels):
    random = np.random.default_rng(0)
    rows = {
        "one": random.integers(0, 256, (2, 16, 24, channels), np.uint8),
        "two": random.integers(0, 256, (2, 16, 24, channels), np.uint8),
    }

    draw_contact_sheet(rows, ["clean", "spoilt"], tmp_path / "sheet.png")

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
        draw_contact_sheet(rows, ["clean"], tmp_path / "sheet.png", title)
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
        draw_contact_sheet(rows, ["clean", "spoilt"], tmp_path / "sheet.png")
