import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.pages.charts import BOTTOM, HEIGHT, TOP, histogram, profile, sizes_chart


def heights(path):
    """Of a histogram's outline, how high each bar is as a share of the chart."""
    ends = re.findall(r"V([\d.]+)H", path)
    return [(HEIGHT - BOTTOM - float(end)) / (HEIGHT - BOTTOM - TOP) for end in ends]


def draw(values, **options):
    colours = dict.fromkeys(values, 0)
    return histogram("title", "x", values, colours=colours, form="{:.3g}".format, **options)


def test_a_histogram_shows_shares_of_each_split():
    # Forty bars from 0 to 1: three of four images in the first, one in the last.
    chart = draw({"a": np.array([0, 0, 0.01, 1]), "b": np.array([0.5])})

    first, second = chart.lines
    top = max(float(text.split()[0]) for _, text in chart.y_ticks) / 100
    assert heights(first.path)[0] == pytest.approx(0.75 / top, abs=1e-3)
    assert heights(first.path)[-1] == pytest.approx(0.25 / top, abs=1e-3)
    assert sum(heights(second.path)) == pytest.approx(1 / top, abs=1e-3)
    assert "a: median 0.005" in chart.description


@given(st.lists(st.floats(0.001, 1e6), min_size=2, max_size=50, unique=True), st.booleans())
def test_every_value_is_in_a_histogram(values, logarithmic):
    chart = draw({"a": np.array(values)}, logarithmic=logarithmic)

    top = max(float(text.split()[0]) for _, text in chart.y_ticks) / 100
    assert sum(heights(chart.lines[0].path)) == pytest.approx(1 / top, abs=0.01)
    assert all(TOP <= y <= HEIGHT - BOTTOM + 0.01 for y, _ in chart.y_ticks)
    assert chart.x_ticks


def test_equal_values_have_no_histogram():
    assert draw({"a": np.array([3.0, 3.0]), "b": np.array([])}) is None
    assert draw({}) is None


def test_circles_grow_with_the_images_of_a_size():
    chart = sizes_chart([(10, 20, 400), (30, 40, 100)])

    assert chart.bubbles[0].radius == pytest.approx(2 * chart.bubbles[1].radius)
    assert chart.bubbles[0].x < chart.bubbles[1].x
    assert chart.bubbles[0].y > chart.bubbles[1].y
    assert sizes_chart([(10, 20, 400)]) is None


def test_the_outline_of_classes_falls():
    path = profile([0, 3, 1])

    # log(1 + count) in falling order: the largest class has the whole height, an empty one none.
    assert (
        path
        == "M0 100L0.00 0.00L33.33 0.00L33.33 50.00L66.67 50.00L66.67 100.00L100.00 100.00L100 100Z"
    )
    assert profile([0]) == "M0 100L0.00 100.00L100.00 100.00L100 100Z"
    assert len(profile(range(100_000))) < 10_000
