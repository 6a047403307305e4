"""What holds for every one of the common corruptions."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.components.transforms.corruptions.spoilt import pictures
from twofold.components.transforms.corruptions.common_corruptions import (
    CORRUPTIONS,
    EXTRA,
    MAIN,
    SEVERITIES,
    corrupt,
)

PUBLISHED = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "shot_noise": (500, 250, 100, 75, 50),
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
    "speckle_noise": (0.06, 0.1, 0.12, 0.16, 0.2),
    "gaussian_blur": (0.4, 0.6, 0.7, 0.8, 1),
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    "zoom_blur": (1.06, 1.11, 1.16, 1.21, 1.26),
    "snow": (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "saturate": ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    "elastic_transform": (
        (0, 0, 2.56),
        (1.6, 6.4, 2.24),
        (2.56, 1.92, 1.92),
        (3.2, 1.28, 1.6),
        (3.2, 0.96, 0.96),
    ),
    "pixelate": (30, 28, 27, 24, 20),
    "jpeg_compression": (80, 65, 58, 50, 40),
    "spatter": (
        (0.62, 0.1, 0.7, 0.7, 0.5, 0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0),
        (0.65, 0.3, 1, 0.69, 0.5, 0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1),
    ),
}
# Their parameters do not rise in strength from each severity to the next: saturation is first taken
# away and then added, ice covers more and hides more of the image under it, water turns into mud,
# and blur and warp give way to more of something else.
NOT_RISING = ("saturate", "frost", "spatter", "glass_blur", "elastic_transform", "motion_blur")
RANDOM = [name for name, one in CORRUPTIONS.items() if one.sample is not None]

names = pytest.mark.parametrize("name", CORRUPTIONS)


def key_hashes(count, start=0):
    return np.arange(start, start + count, dtype=np.int64) * 7_919 + 2**40


def spoil(images, name, severity, seed=0, known_by=None):
    known_by = key_hashes(len(images)) if known_by is None else known_by
    return corrupt(images, name, severity, seed=seed, key_hashes=known_by)


def test_the_nineteen_have_the_published_parameters():
    assert {name: one.parameters for name, one in CORRUPTIONS.items()} == PUBLISHED


def test_fifteen_count_and_four_are_extra():
    assert len(MAIN) == 15
    assert set(EXTRA) == {"speckle_noise", "gaussian_blur", "spatter", "saturate"}
    assert [*MAIN, *EXTRA] == [*CORRUPTIONS]
    assert {one.group for one in CORRUPTIONS.values()} == {"noise", "blur", "weather", "digital"}


@names
@pytest.mark.parametrize("shape", [(32, 32, 3), (20, 44, 3), (29, 16, 1), (8, 8, 3)])
def test_images_of_any_shape_stay_images_of_that_shape(name, shape):
    images = pictures(3, *shape)
    before = images.copy()

    for severity in SEVERITIES:
        result = spoil(images, name, severity)
        assert result.shape == images.shape
        assert result.dtype == np.uint8
    # Small images are blurred by less than a pixel, and grey ones have no colour.
    if min(shape[:2]) > 8 and (name, shape[2]) != ("saturate", 1):
        assert (result != images).any()
    np.testing.assert_array_equal(images, before)


@names
@settings(deadline=None, max_examples=12)
@given(
    severity=st.sampled_from(SEVERITIES),
    order=st.permutations(range(7)),
    cuts=st.lists(st.integers(0, 7), max_size=3),
    channels=st.sampled_from([1, 3]),
)
def test_an_image_comes_out_the_same_in_any_batch(name, severity, order, cuts, channels):
    images, known_by = pictures(7, 17, 21, channels), key_hashes(7)
    together = spoil(images, name, severity)

    bounds = sorted({0, 7, *cuts})
    for start, stop in itertools.pairwise(bounds):
        rows = list(order)[start:stop]
        apart = spoil(images[rows], name, severity, known_by=known_by[rows])
        np.testing.assert_array_equal(apart, together[rows])


@names
def test_many_images_are_worked_on_in_parts_that_do_not_show(name, monkeypatch):
    images = pictures(9, 16, 16)
    whole = spoil(images, name, 5)

    monkeypatch.setattr(
        "twofold.components.transforms.corruptions.common_corruptions._VALUES_AT_ONCE",
        2 * 16 * 16 * 3,
    )

    np.testing.assert_array_equal(spoil(images, name, 5), whole)


@pytest.mark.parametrize("name", RANDOM)
def test_seed_identity_and_severity_decide_what_is_drawn(name):
    same = np.repeat(pictures(1), 6, axis=0)
    first = spoil(same, name, 3)

    assert len(np.unique(first.reshape(6, -1), axis=0)) == 6, "each identity has its own"
    np.testing.assert_array_equal(first, spoil(same, name, 3))
    assert (first != spoil(same, name, 3, seed=1)).any(axis=(1, 2, 3)).all()
    shifted = spoil(same, name, 3, known_by=key_hashes(6, start=1))
    np.testing.assert_array_equal(shifted[:-1], first[1:])


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name not in RANDOM])
def test_what_is_not_random_is_the_same_for_every_seed_and_identity(name):
    images = pictures(3)
    known_by = key_hashes(3, start=50)

    np.testing.assert_array_equal(
        spoil(images, name, 4), spoil(images, name, 4, seed=9, known_by=known_by)
    )


def test_corruptions_and_severities_do_not_share_their_noise():
    grey = np.full((1, 32, 32, 3), 128, np.uint8)
    noises = [
        (spoil(grey, name, severity).astype(float) - 128).ravel()
        for name in ("gaussian_noise", "speckle_noise")
        for severity in SEVERITIES
    ]

    between = np.corrcoef(noises) - np.eye(len(noises))
    assert np.abs(between).max() < 5 / np.sqrt(grey.size)


def test_the_noise_of_different_images_is_independent():
    grey = np.full((12, 32, 32, 1), 128, np.uint8)

    noises = spoil(grey, "gaussian_noise", 5).astype(float).reshape(12, -1)

    between = np.corrcoef(noises) - np.eye(12)
    assert np.abs(between).max() < 5 / np.sqrt(noises.shape[1])


def test_another_process_draws_the_same():
    code = (
        "import numpy as np\n"
        "from twofold.components.transforms.corruptions.common_corruptions import corrupt\n"
        "images = np.full((2, 16, 16, 3), 100, np.uint8)\n"
        "some = corrupt(images, 'snow', 4, seed=3, key_hashes=np.array([5, 2**62]))\n"
        "print(int(some.astype(np.int64).sum()), some[1, 3, 4].tolist())\n"
    )
    answers = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        for _ in range(2)
    }
    images = np.full((2, 16, 16, 3), 100, np.uint8)
    here = corrupt(images, "snow", 4, seed=3, key_hashes=np.array([5, 2**62]))

    assert answers == {f"{int(here.astype(np.int64).sum())} {here[1, 3, 4].tolist()}\n"}


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name not in NOT_RISING])
@pytest.mark.parametrize("shape", [(32, 32, 3), (40, 64, 1)])
def test_each_severity_changes_images_more_than_the_one_before(name, shape):
    images = pictures(24, *shape)

    changes = [
        np.abs(spoil(images, name, severity).astype(int) - images).mean() for severity in SEVERITIES
    ]

    assert np.all(np.diff(changes) > 0), changes


@pytest.mark.parametrize(
    ("name", "rising"),
    [
        ("frost", [1, 2, 3]),
        ("spatter", [1, 2, 3]),
        ("spatter", [4, 5]),
        ("motion_blur", [1, 2, 3, 5]),
        ("saturate", [1, 2]),
        ("saturate", [3, 4, 5]),
        ("glass_blur", [2, 4]),
        ("glass_blur", [3, 5]),
    ],
)
def test_severities_that_differ_in_one_way_change_images_more(name, rising):
    images = pictures(24) // 2

    changes = [np.abs(spoil(images, name, one).astype(int) - images).mean() for one in rising]

    assert np.all(np.diff(changes) > 0), changes


# Blurs and the boxes of pixels cut details that only the larger image has.
@pytest.mark.parametrize(
    "name",
    [
        name
        for name, one in CORRUPTIONS.items()
        if one.group != "blur" and name not in ("pixelate", "jpeg_compression")
    ],
)
def test_an_image_and_its_enlargement_are_changed_alike(name):
    small, large = pictures(32, 32, 32), pictures(32, 96, 96)

    for severity in SEVERITIES:
        changes = [
            np.abs(spoil(images, name, severity).astype(int) - images).mean()
            for images in (small, large)
        ]
        assert changes[1] == pytest.approx(changes[0], rel=0.1), (severity, changes)


def test_results_are_truncated_not_rounded():
    # 100 + .05 * 255 = 112.75, and 250 + .3 * 255 is above 255.
    images = np.full((1, 8, 8, 3), 100, np.uint8)
    images[0, 0, 0] = 250

    result = spoil(images, "brightness", 1)

    assert result[0, 1, 1].tolist() == [112, 112, 112]
    assert spoil(images, "brightness", 5)[0, 0, 0].tolist() == [255, 255, 255]


def test_every_level_that_is_not_changed_stays_that_level():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)

    np.testing.assert_array_equal(spoil(images, "saturate", 5), images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "rain"}, "unknown corruption 'rain': expected one of gaussian_noise, shot_noise"),
        ({"severity": 0}, "unknown severity 0 of fog: expected one of 1, 2, 3, 4, 5"),
        ({"severity": 6}, "unknown severity 6"),
        ({"images": np.zeros((2, 8, 8, 3), np.float32)}, r"received float32 \[2, 8, 8, 3\]"),
        ({"images": np.zeros((2, 8, 8), np.uint8)}, r"received uint8 \[2, 8, 8\]"),
        ({"images": np.zeros((2, 7, 8, 3), np.uint8)}, "sides of at least 8"),
        ({"images": np.zeros((2, 8, 8, 4), np.uint8)}, "1 or 3 channels"),
        ({"key_hashes": np.arange(3)}, r"one for each of 2 images, received int64 \[3\]"),
        ({"key_hashes": np.zeros(2)}, "must be integers"),
    ],
)
def test_what_cannot_be_corrupted_is_refused(arguments, message):
    given_ones = {
        "images": np.zeros((2, 8, 8, 3), np.uint8),
        "name": "fog",
        "severity": 1,
        "seed": 0,
        "key_hashes": np.arange(2),
    }

    with pytest.raises(ValueError, match=message):
        corrupt(**(given_ones | arguments))


@names
def test_no_images_give_no_images(name):
    empty = np.zeros((0, 16, 16, 3), np.uint8)

    assert spoil(empty, name, 1).shape == empty.shape
