"""Accuracies and read-outs of several encoders side by side."""

import numpy as np
import pytest

from tests.components.evaluation.plots.written_figures import assert_no_text_overlaps, texts
from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots.accuracy_plots import (
    plot_accuracies,
    plot_decodability,
    plot_fraction_curves,
)
from twofold.components.evaluation.probes.decodability import Decoded
from twofold.components.evaluation.probes.label_fractions import MeanInterval


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
