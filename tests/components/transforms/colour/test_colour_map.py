import numpy as np
import pytest
from scipy import stats

from twofold.components.transforms.colour.colour_map import (
    ColourRanges,
    apply_colour,
    sample_colour,
)


def test_equals_the_formula_pixel_by_pixel(execute, images, keys):
    batch = images(5, 4, 6, 3)
    matrices = sample_colour(keys(5), ColourRanges(0.6, 0.2), 3).numpy()

    result = execute(apply_colour)(batch, matrices).numpy()

    for image in range(5):
        for row in range(4):
            for column in range(6):
                expected = np.clip(batch[image, row, column] @ matrices[image], 0, 1)
                np.testing.assert_allclose(result[image, row, column], expected, atol=1e-5)


def test_the_result_is_clipped_at_both_ends(images):
    batch = images(1, 2, 2, 3)

    assert np.all(apply_colour(batch, 1e3 * np.eye(3, dtype=np.float32)[None]) == 1.0)
    assert np.all(apply_colour(batch, -np.eye(3, dtype=np.float32)[None]) == 0.0)


@pytest.mark.parametrize("channels", [1, 3])
def test_ranges_of_zero_are_the_identity(images, keys, channels):
    batch = images(4, 5, 6, channels)

    matrices = sample_colour(keys(4), ColourRanges(brightness=0.0, jitter=0.0), channels)

    np.testing.assert_array_equal(apply_colour(batch, matrices), batch)


def test_brightness_is_one_even_factor_of_all_channels(keys):
    drawn = sample_colour(keys(5_000), ColourRanges(brightness=0.6, jitter=0.0), 3).numpy()

    factor = drawn[:, 0, 0]
    np.testing.assert_array_equal(drawn, factor[:, None, None] * np.eye(3, dtype=np.float32))
    assert stats.kstest((factor - 0.4) / 1.2, "uniform").pvalue > 1e-3


def test_jitter_is_even_and_independent_in_every_entry(keys):
    drawn = sample_colour(keys(20_000), ColourRanges(brightness=0.0, jitter=0.2), 3).numpy()

    entries = (drawn - np.eye(3)).reshape(-1, 9)
    for entry in entries.T:
        assert stats.kstest((entry + 0.2) / 0.4, "uniform").pvalue > 1e-3
    correlations = np.corrcoef(entries.T) - np.eye(9)
    assert np.abs(correlations).max() < 4.5 / np.sqrt(20_000)


def test_the_draws_are_the_same_in_every_execution(execute, keys):
    some = keys(1_000)

    def draw(some):
        return sample_colour(some, ColourRanges(0.6, 0.2), 3)

    np.testing.assert_allclose(execute(draw)(some).numpy(), draw(some).numpy(), atol=1e-6)
