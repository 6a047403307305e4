import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.data.statistics import Statistics

grey = arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(1)))
colour = arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def counted(images):
    statistics = Statistics()
    for image in images:
        statistics.add(image)
    return statistics


def assert_figures(statistics, pixels):
    mean, deviation = statistics.mean_and_deviation(pixels.shape[-1])
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(deviation, pixels.std(0), rtol=1e-9, atol=1e-12)


@given(st.lists(grey, min_size=1, max_size=5))
@settings(deadline=None)
def test_greyscale_agrees_with_numpy(images):
    statistics = counted(images)
    assert statistics.channels == 1
    assert_figures(statistics, np.concatenate([i.reshape(-1, 1) for i in images]) / 255)


@given(st.lists(grey, max_size=3), st.lists(colour, min_size=1, max_size=3))
@settings(deadline=None)
def test_greyscale_among_colour_counts_in_every_channel(greys, colours):
    statistics = counted(greys + colours)
    assert statistics.channels == 3
    pixels = [np.repeat(i, 3, -1) for i in greys] + colours
    assert_figures(statistics, np.concatenate([i.reshape(-1, 3) for i in pixels]) / 255)


@given(st.lists(st.one_of(grey, colour), max_size=6), st.integers(0, 6))
@settings(deadline=None)
def test_counts_merge_in_any_order_and_survive_being_written(images, cut):
    parts = [counted(images[cut:]), counted(images[:cut])]
    merged = Statistics()
    for part in parts:
        merged.merge(Statistics.from_json(part.to_json()))
    assert merged.to_json() == counted(images).to_json()


def test_a_large_image_is_counted_in_pieces():
    pixels = np.random.default_rng(0).integers(0, 256, (700, 800, 3), dtype=np.uint8)
    statistics = counted([pixels])
    assert statistics.sizes == {"700x800": 1}
    assert_figures(statistics, pixels.reshape(-1, 3) / 255)
