"""A run's curves over epochs, beside the printed ones."""

import numpy as np

from twofold.components.pages.printed_comparison import compare_with_printed, means_by_epoch


def test_values_are_averaged_over_the_steps_of_each_epoch():
    steps, values = np.array([1, 4, 8, 9, 12, 20]), np.array([6.0, 4.0, 2.0, 1.0, 3.0, 5.0])
    epochs, means = means_by_epoch((steps, values), steps_per_epoch=8)
    assert epochs.tolist() == [1, 2, 3]
    assert means.tolist() == [4.0, 2.0, 5.0]


def test_an_epoch_that_was_logged_nothing_of_has_no_value():
    epochs, means = means_by_epoch((np.array([30, 60]), np.array([2.0, 1.0])), 10)
    assert epochs.tolist() == [3, 6]
    assert means.tolist() == [2.0, 1.0]


def test_published_runs_are_shown_for_as_many_epochs_as_the_run_has():
    own = {"loss": (np.array([1, 2]), np.array([5.0, 4.0]))}
    found = compare_with_printed(own, {"loss": [(6.0, 3.0, 1.0), (7.0, 2.0, 1.0)]})
    assert found.rows == (("loss", 2, 4.0, (3.0, 2.0)),)
    (chart,) = found.charts
    assert [line.name for line in chart.lines] == [
        "this run",
        "published, run 1",
        "published, run 2",
    ]
    assert chart.x_label == "epoch"
    assert all("epoch 3" not in line.summary for line in chart.lines)


def test_a_run_that_goes_on_is_compared_where_the_publication_ends():
    own = {"loss": (np.array([1, 2, 3]), np.array([5.0, 4.0, 3.0]))}
    assert compare_with_printed(own, {"loss": [(6.0, 3.5)]}).rows == (("loss", 2, 4.0, (3.5,)),)


def test_a_curve_that_is_not_printed_has_no_chart():
    own = {"loss": (np.array([1]), np.array([5.0]))}
    assert compare_with_printed(own, {}).charts == ()
