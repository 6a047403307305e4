"""Where a chart's lines, circles and points are."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.pages.chart_axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from twofold.components.pages.charts import (
    histogram,
    line_chart,
    profile,
    share_chart,
    sizes_chart,
)


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
    assert chart is not None

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


def series(values, steps=None):
    places = range(1, len(values) + 1) if steps is None else steps
    return np.array(places, np.int64), np.array(values, np.float64)


def points(path):
    return [tuple(map(float, pair)) for pair in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path)]


def test_a_line_goes_from_the_first_step_to_the_last_and_up_where_values_rise():
    chart = line_chart("loss", {"x": series([1.0, 3.0, 2.0])})
    assert chart is not None
    (first, second, third) = points(chart.lines[0].path)

    assert (first[0], third[0]) == (LEFT, WIDTH - RIGHT)
    # Of values from 1 to 3, 2 is in the middle; what is higher has a smaller y.
    assert third[1] == pytest.approx((first[1] + second[1]) / 2, abs=0.02)
    assert second[1] < third[1] < first[1]
    assert chart.description == "x: 1 at step 1 to 2 at step 3, highest 3 at step 2"


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=3),
        st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400),
        min_size=1,
        max_size=8,
    )
)
def test_every_point_is_in_the_drawing_area(values):
    chart = line_chart("x", {name: series(each) for name, each in values.items()})
    assert chart is not None

    for line in chart.lines:
        assert 0 < len(points(line.path)) <= 300
        for x, y in points(line.path):
            assert LEFT <= x <= WIDTH - RIGHT
            assert TOP <= y <= HEIGHT - BOTTOM
        assert 0 <= line.colour < 6
    assert chart.y_ticks


def test_values_that_are_not_finite_leave_gaps_and_are_told():
    chart = line_chart("loss", {"x": series([1.0, 2.0, np.nan, 3.0, np.inf, 4.0, 5.0])})
    assert chart is not None
    (line,) = chart.lines

    assert line.path.count("M") == 3
    # A point by itself shows as a dot, here the fourth of seven.
    assert line.dots.startswith(f"M{(LEFT + WIDTH - RIGHT) / 2:g} ")
    assert line.dots.count("h0") == 1
    assert "2 not finite" in chart.description


@pytest.mark.parametrize("value", [0.0, -3.0, 2.301, 1e-7, 5e8])
def test_a_single_point_is_a_dot_between_different_ticks(value):
    chart = line_chart("loss", {"x": series([value], [15])})
    assert chart is not None

    assert chart.lines[0].dots
    texts = [text for _, text in chart.y_ticks]
    assert len(set(texts)) == len(texts) > 1


def test_close_values_have_ticks_that_tell_them_apart():
    chart = line_chart("loss", {"x": series([2.294, 2.301])})
    assert chart is not None
    texts = [text for _, text in chart.y_ticks]

    assert len(set(texts)) == len(texts)
    assert {"2.294", "2.300"} <= {*texts}


def test_of_nothing_finite_there_is_no_chart():
    assert line_chart("loss", {}) is None
    assert line_chart("loss", {"x": series([np.nan])}) is None


def test_the_last_of_many_points_is_kept():
    values = np.arange(10_000.0)
    chart = line_chart("loss", {"x": series(values)})
    assert chart is not None

    assert points(chart.lines[0].path)[-1][0] == WIDTH - RIGHT
    assert "9999 at step 10,000" in chart.description


def test_the_seventh_line_is_dashed():
    chart = line_chart("loss", {str(n): series([1.0, 2.0]) for n in range(7)})
    assert chart is not None

    assert [line.colour for line in chart.lines] == [0, 1, 2, 3, 4, 5, 0]
    assert [line.dashed for line in chart.lines] == [False] * 6 + [True]


def test_shares_are_on_a_logarithmic_axis_with_their_intervals():
    rows = [(0.01, 0.5, 0.4, 0.6), (0.1, 0.7, 0.6, 0.8), (1.0, 0.9, 0.85, 0.95)]
    chart = share_chart("title", "labels", rows)
    assert chart is not None
    first, second, third = chart.marks

    assert second.x == pytest.approx((first.x + third.x) / 2, abs=0.02)
    assert first.high < first.y < first.low
    assert [text for _, text in chart.x_ticks] == ["1 %", "10 %", "100 %"]
    assert share_chart("title", "labels", rows[:1]) is None
