"""The pictures of several encoders."""

import matplotlib.figure
import numpy as np
import pytest
from PIL import Image

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots.study_plots import (
    plot_accuracies,
    plot_decodability,
    plot_fraction_curves,
    plot_rsm_histograms,
    plot_rsms,
)
from twofold.components.evaluation.probes.decodability import Decoded
from twofold.components.evaluation.probes.label_fractions import MeanInterval


def similarities(images=30, seed=0):
    matrix = np.random.default_rng(seed).uniform(-1, 1, (images, images))
    return (matrix + matrix.T) / 2


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def drawn(monkeypatch):
    """The last figure that was written."""
    figures = []
    save = matplotlib.figure.Figure.savefig

    def watch(figure, *arguments, **options):
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", watch)
    return figures


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def assert_no_text_overlaps(figure):
    renderer = figure.canvas.get_renderer()
    boxes = [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(matplotlib.text.Text)
        if text.get_text() and text.get_visible() and text.axes and text.axes.get_visible()
    ]
    # Of every tick there is a second, unused label at the same place.
    boxes = list({(name, box.x0, box.y0): (name, box) for name, box in boxes}.values())
    for index, (name, box) in enumerate(boxes):
        for other_name, other in boxes[index + 1 :]:
            overlap = min(box.x1, other.x1) - max(box.x0, other.x0) > 1
            overlap &= min(box.y1, other.y1) - max(box.y0, other.y0) > 1
            assert not overlap, (name, other_name)


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


class TestDecodability:
    def test_scores_are_written_and_colours_are_shares_above_chance(self, tmp_path, drawn):
        table = {
            "SimCLR": {
                "shape": Decoded("accuracy", 0.75, 0.5, 9),
                "scale": Decoded("r2", -3.0, 0, 9),
            },
            "an encoder of a long name": {"shape": Decoded("accuracy", 1.0, 0.5, 9)},
        }
        plot_decodability(table, tmp_path / "d.png")
        found = texts(drawn[-1])
        for expected in ("75.0", "100.0", "< -1", "shape\naccuracy, %", "scale\nR²", "chance"):
            assert expected in found
        shown = np.ma.filled(drawn[-1].axes[0].images[0].get_array(), np.nan)
        np.testing.assert_allclose(shown, [[0.5, 0], [1, np.nan]])
        assert_no_text_overlaps(drawn[-1])

    def test_a_score_of_nearly_nothing_has_no_sign(self, tmp_path, drawn):
        plot_decodability({"a": {"scale": Decoded("r2", -0.001, 0, 9)}}, tmp_path / "d.png")
        assert "0.00" in texts(drawn[-1])

    def test_two_measures_of_a_latent_or_none_are_refused(self, tmp_path):
        mixed = {
            "a": {"shape": Decoded("accuracy", 1, 0.5, 9)},
            "b": {"shape": Decoded("r2", 1, 0, 9)},
        }
        with pytest.raises(EvaluationError, match=r"\['accuracy', 'r2'\]"):
            plot_decodability(mixed, tmp_path / "d.png")
        with pytest.raises(EvaluationError, match="at least one score"):
            plot_decodability({"a": {}}, tmp_path / "d.png")


class TestAccuracies:
    def test_references_stand_beside_ours_with_a_legend(self, tmp_path, drawn):
        plot_accuracies(
            {"SimCLR": {"linear probe": MeanInterval(0.95, 0.94, 0.96)}, "pixels": {"kNN": 0.4}},
            tmp_path / "a.png",
            "Shape accuracy",
            reference={"SimCLR": 0.975, "not measured": 0.1},
            chance=1 / 3,
        )
        found = texts(drawn[-1])
        for expected in ("95.0", "40.0", "97.5", "linear probe", "kNN", "reference", "chance"):
            assert expected in found
        assert "not measured" not in found
        assert_no_text_overlaps(drawn[-1])

    def test_percentages_and_nothing_are_refused(self, tmp_path):
        with pytest.raises(EvaluationError, match="a, probe is 95"):
            plot_accuracies({"a": {"probe": 95.0}}, tmp_path / "a.png", "")
        with pytest.raises(EvaluationError, match="a, reference is 95"):
            plot_accuracies({"a": {"probe": 0.9}}, tmp_path / "a.png", "", {"a": 95.0})
        with pytest.raises(EvaluationError, match="there is none"):
            plot_accuracies({}, tmp_path / "a.png", "")


class TestFractionCurves:
    def test_curves_of_different_shares_with_and_without_an_interval(self, tmp_path, drawn):
        plot_fraction_curves(
            {"SimCLR": {0.1: MeanInterval(0.9, 0.8, 0.95), 1.0: 0.97}, "random": {0.05: 0.33}},
            tmp_path / "f.png",
            "By labels",
            chance=1 / 3,
        )
        found = texts(drawn[-1])
        for expected in ("5", "10", "100", "SimCLR", "random", "chance", "band: 95 % interval"):
            assert expected in found
        assert_no_text_overlaps(drawn[-1])

    @pytest.mark.parametrize("curves", [{}, {"a": {}}, {"a": {0.0: 0.5}}, {"a": {5: 0.5}}])
    def test_no_share_or_one_out_of_range_is_refused(self, tmp_path, curves):
        with pytest.raises(EvaluationError, match=r"shares in \(0, 1\]"):
            plot_fraction_curves(curves, tmp_path / "f.png", "")
