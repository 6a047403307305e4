"""Similarities of several encoders side by side."""

import numpy as np
import pytest

from tests.components.evaluation.plots.written_figures import assert_no_text_overlaps, pixels, texts
from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots.similarity_plots import plot_rsm_histograms, plot_rsms


def similarities(images=30, seed=0):
    matrix = np.random.default_rng(seed).uniform(-1, 1, (images, images))
    return (matrix + matrix.T) / 2


class TestSimilarities:
    def test_rows_are_sorted_by_the_latent_and_stay_in_order_within_a_value(self, tmp_path, drawn):
        matrix, values = similarities(6), np.array([2, 0, 1, 0, 2, 1])
        plot_rsms({"a": matrix}, values, "shape", "", tmp_path / "rsm.png", ["x", "y", "z"])
        order = [1, 3, 2, 5, 0, 4]
        shown = drawn[-1].axes[0].images[0].get_array()
        np.testing.assert_allclose(shown, matrix[np.ix_(order, order)])
        assert {"x", "y", "z"} <= set(texts(drawn[-1]))
        borders = {line.get_xdata()[0] for line in drawn[-1].axes[0].lines}
        assert {1.5, 3.5} <= borders

    @pytest.mark.parametrize(("encoders", "rows"), [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
    def test_many_encoders_share_one_scale_and_fit_a_page(self, tmp_path, drawn, encoders, rows):
        matrices = {f"encoder {number}": similarities(seed=number) for number in range(encoders)}
        path = tmp_path / "rsm.png"
        plot_rsms(matrices, np.repeat([0, 1, 2], 10), "scale", "Similarities", path)
        assert pixels(path).shape[1] < 1300
        figure = drawn[-1]
        panels = [panel for panel in figure.axes if panel.images and panel.get_visible()]
        assert len(panels) == encoders
        assert len({round(panel.get_position().y0, 2) for panel in panels}) == rows
        assert {panel.images[0].get_clim() for panel in panels} == {(-1, 1)}
        assert {f"encoder {number}" for number in range(encoders)} <= set(texts(figure))

    def test_what_does_not_fit_is_refused(self, tmp_path):
        with pytest.raises(EvaluationError, match=r"\[29, 29\], not .*\[30, 30\]"):
            plot_rsms({"a": similarities()}, np.zeros(29), "scale", "", tmp_path / "rsm.png")
        with pytest.raises(EvaluationError, match="needs matrices"):
            plot_rsms({}, np.zeros(29), "scale", "", tmp_path / "rsm.png")


class TestHistograms:
    def test_means_of_equal_and_different_pairs_are_written(self, tmp_path, drawn):
        values = np.repeat([0, 1], 10)
        matrix = np.where(values[:, None] == values, 0.75, 0.25)
        plot_rsm_histograms(
            {"a": matrix, "b": -matrix}, tmp_path / "h.png", "Spread", values, "shape"
        )
        found = texts(drawn[-1])
        for expected in ("mean 0.75", "mean 0.25", "mean -0.75", "same shape", "other shape"):
            assert expected in found
        assert_no_text_overlaps(drawn[-1])

    def test_the_diagonal_is_left_out(self, tmp_path, drawn):
        matrix = np.full((5, 5), 0.5)
        np.fill_diagonal(matrix, 1)
        plot_rsm_histograms({"a": matrix}, tmp_path / "h.png", "Spread")
        assert "mean 0.50" in texts(drawn[-1])
        assert "same latent" not in texts(drawn[-1])

    def test_nothing_to_draw_is_refused(self, tmp_path):
        with pytest.raises(EvaluationError, match="there is none"):
            plot_rsm_histograms({}, tmp_path / "h.png", "Spread")
        with pytest.raises(EvaluationError, match="at least two images"):
            plot_rsm_histograms({"a": np.ones((1, 1))}, tmp_path / "h.png", "Spread")
