import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.pages.dataset_pages import Page
from tests.components.pages.run_pages import accuracy, curves, run_content
from twofold.components.encoders.heads import build_linear_head
from twofold.components.errors import EvaluationError
from twofold.components.evaluation.confidence_intervals import binomial_interval
from twofold.components.evaluation.probes.fine_tuning import (
    Tuned,
    epochs_for,
    fraction_metrics,
    read_result,
    start_head,
    write_result,
)
from twofold.components.evaluation.probes.label_fractions import t_interval
from twofold.components.evaluation.probes.linear_probe import LinearProbe
from twofold.components.pages.run_page import render_run


class TestResults:
    def test_metrics_are_shares_with_their_binomial_bounds(self):
        low, high = binomial_interval(30, 40)
        assert Tuned(40, 30).metrics("finetune") == {
            "finetune/test_accuracy": 0.75,
            "finetune/test_accuracy_low": low,
            "finetune/test_accuracy_high": high,
        }

    def test_the_best_is_a_measure_only_where_something_could_choose_it(self):
        assert Tuned(40, 30, 32).metrics("x")["x/best_test_accuracy"] == 0.8
        assert not [name for name in Tuned(40, 30).metrics("x") if "best" in name]

    def test_what_is_written_is_read_and_nothing_else_is(self, tmp_path):
        assert read_result(tmp_path) is None
        for tuned in (Tuned(40, 30), Tuned(40, 30, 31)):
            write_result(tmp_path, tuned)
            assert read_result(tmp_path) == tuned
        assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
        for text in ("", "[]", '{"total": 4}', '{"right": 4}'):
            (tmp_path / "result.json").write_text(text)
            assert read_result(tmp_path) is None

    def test_draws_of_a_share_become_a_mean_with_students_interval(self):
        draws = [Tuned(10, 4), Tuned(10, 6), Tuned(10, 8)]
        curve, metrics = fraction_metrics("finetune", {0.05: draws})
        expected = t_interval([0.4, 0.6, 0.8])
        assert curve == {0.05: expected}
        assert metrics == {
            "finetune/0.05/test_accuracy": expected.mean,
            "finetune/0.05/test_accuracy_low": expected.low,
            "finetune/0.05/test_accuracy_high": expected.high,
        }


class TestEpochs:
    @pytest.mark.parametrize(
        ("share", "epochs"), [(1.0, 20), (0.25, 40), (0.1, 64), (0.01, 200), (0.04, 100)]
    )
    def test_hand_worked(self, share, epochs):
        assert epochs_for(share, 20) == epochs

    @given(share=st.floats(0.001, 1), epochs=st.integers(1, 500))
    def test_less_labels_are_seen_longer_in_fewer_steps(self, share, epochs):
        longer = epochs_for(share, epochs)
        assert longer >= epochs
        assert (longer - 1) * share <= epochs * share**0.5 + 1e-6


class TestHeads:
    def test_a_head_starts_where_the_probe_ended(self):
        random = np.random.default_rng(0)
        probe = LinearProbe(
            random.normal(size=(5, 3)).astype(np.float32), np.arange(3, dtype=np.float32)
        )
        head = build_linear_head(5, 3, seed=0)
        start_head(head, probe)
        features = random.normal(size=(4, 5)).astype(np.float32)
        np.testing.assert_allclose(head(features), probe.logits(features), rtol=1e-5, atol=1e-6)

    def test_a_probe_of_other_classes_is_refused(self):
        probe = LinearProbe(np.zeros((5, 4), np.float32), np.zeros(4, np.float32))
        with pytest.raises(EvaluationError, match=r"\(5, 3\).* linear probe of .*\(5, 4\)"):
            start_head(build_linear_head(5, 3, seed=0), probe)


METRICS = {
    **accuracy("linear_probe/test_accuracy", 700, 1000),
    **accuracy("finetune/test_accuracy", 812, 1000),
    **accuracy("finetune_scratch/test_accuracy", 655, 1000),
    **accuracy("finetune/0.1/test_accuracy", 610, 1000),
}


class TestPage:
    def test_fine_tuning_is_shown_beside_what_to_hold_it_to(self):
        both = {"fine-tuned": curves(), "from scratch": curves(2.0)}
        page = Page(render_run(run_content(metrics=METRICS, finetune_curves=both)))
        assert "finetuning" in [section["id"] for section in page.having("section")]
        for expected in (
            "fine-tuned with labels, held-out accuracy",
            "the same network from scratch 65.50%",
            "linear probe of the frozen encoder 70.00%",
            "training loss",
            "10 % 61.00%",
        ):
            assert expected in page.text
        # No validation split, no best epoch.
        assert "best validation epoch" not in page.text
        assert "NaN" not in page.text

    def test_baseline_probe_and_fine_tuned_encoder_share_charts_of_accuracy_and_loss(self):
        def course(accuracies, losses, steps):
            return {
                "test/accuracy": (np.array(steps), np.array(accuracies)),
                "test/loss": (np.array(steps), np.array(losses)),
            }

        steps = [10, 20, 30]
        pretraining = course([0.3, 0.5, 0.4], [2.0, 1.5, 1.25], steps)
        content = run_content(
            metrics=METRICS,
            curves=pretraining | {"online_probe/accuracy": (np.array(steps), np.ones(3))},
            finetune_curves={
                "fine-tuned": course([0.75, 0.625], [1.0, 1.125], [4, 8]),
                "from scratch": course([0.25, 0.5], [2.5, 1.75], [4, 8]),
            },
        )
        page = Page(render_run(content))
        assert (
            "held-out accuracy by epoch from scratch: 0.25 at epoch 1 to 0.5 at epoch 2; "
            "online probe: 0.3 at epoch 1 to 0.4 at epoch 3, highest 0.5 at epoch 2; "
            "fine-tuned: 0.75 at epoch 1 to 0.625 at epoch 2"
        ) in page.text
        assert (
            "held-out loss by epoch from scratch: 2.5 at epoch 1 to 1.75 at epoch 2; "
            "online probe: 2 at epoch 1 to 1.25 at epoch 3; "
            "fine-tuned: 1 at epoch 1 to 1.125 at epoch 2"
        ) in page.text
        # Last, largest, after which epoch.
        assert "online probe held-out 40.00% 50.00% 2" in page.text
        assert "fine-tuned held-out 62.50% 75.00% 1" in page.text
        assert "from scratch held-out 50.00% 50.00% 2" in page.text

    def test_without_it_the_page_does_not_speak_of_it(self):
        page = Page(render_run(run_content()))
        assert "finetuning" not in [section["id"] for section in page.having("section")]
        assert "Fine-tuning" not in page.text
