import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.probes import softmax_regression
from twofold.components.evaluation.probes.linear_probe import (
    LinearProbe,
    fit_logistic_regression,
    fit_recipe_probe,
)


def clusters(*, images=300, width=8, classes=3, spread=1.0, seed=0):
    """Gaussian clusters on features of very different scale and offset."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, images)
    centres = random.normal(size=(classes, width)) * 2
    embeddings = centres[labels] + spread * random.normal(size=(images, width))
    embeddings = embeddings * np.geomspace(0.01, 10, width) + np.linspace(-3, 3, width)
    return embeddings.astype(np.float32), labels.astype(np.int32)


def scikit_learn_probabilities(embeddings, labels, regularisation=1.0):
    scaler = StandardScaler().fit(embeddings.astype(np.float64))
    standardised = scaler.transform(embeddings.astype(np.float64))
    model = LogisticRegression(C=regularisation, max_iter=10_000, tol=1e-9)
    return model.fit(standardised, labels).predict_proba(standardised)


class TestLinearProbe:
    def test_hand_worked_logits_and_probabilities(self):
        probe = LinearProbe(np.array([[1, -1], [0, 2]], np.float32), np.array([0, 1], np.float32))
        embeddings = np.array([[1, 0], [0, 1]], np.float32)
        np.testing.assert_allclose(probe.logits(embeddings), [[1, 0], [0, 3]])
        first, second = 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(3))
        expected = [[first, 1 - first], [second, 1 - second]]
        np.testing.assert_allclose(probe.probabilities(embeddings), expected, rtol=1e-6)
        assert probe.accuracy(embeddings, np.array([0, 1])) == 1.0
        assert probe.accuracy(embeddings, np.array([0, 0])) == 0.5

    def test_probabilities_survive_huge_logits(self):
        probe = LinearProbe(np.array([[1e4, -1e4]], np.float32), np.zeros(2, np.float32))
        probabilities = probe.probabilities(np.array([[100.0], [-100.0]], np.float32))
        np.testing.assert_array_equal(probabilities, [[1, 0], [0, 1]])

    def test_another_width_is_refused_with_both_widths(self):
        probe = LinearProbe(np.zeros((4, 2), np.float32), np.zeros(2, np.float32))
        with pytest.raises(EvaluationError, match=r"width 4.*width 3"):
            probe.logits(np.zeros((1, 3), np.float32))


class TestLogisticRegression:
    @pytest.mark.parametrize("classes", [2, 3, 7])
    @pytest.mark.parametrize("regularisation", [0.01, 1.0, 100.0])
    def test_on_raw_embeddings_equals_scikit_learn_on_standardised_ones(
        self, classes, regularisation
    ):
        embeddings, labels = clusters(classes=classes)
        probe = fit_logistic_regression(
            embeddings, labels, classes=classes, regularisation=regularisation
        )
        assert probe.converged
        assert probe.weights.shape == (8, classes)
        assert probe.weights.dtype == probe.bias.dtype == np.float32
        np.testing.assert_allclose(
            probe.probabilities(embeddings),
            scikit_learn_probabilities(embeddings, labels, regularisation),
            atol=1e-3,
        )

    @pytest.mark.parametrize(("images", "width"), [(2000, 60), (100, 200)])
    def test_features_that_are_much_alike_take_tens_of_steps(self, images, width):
        # Of 60 such features, L-BFGS on the features themselves takes a thousand.
        random = np.random.default_rng(0)
        own = random.normal(size=(images, width))
        logits = 0.3 * own @ random.normal(size=(width, 3))
        labels = (logits + random.gumbel(size=(images, 3))).argmax(axis=1)
        turned = np.linalg.qr(random.normal(size=(width, width)))[0]
        embeddings = (own * np.arange(1.0, width + 1) ** -2) @ turned
        embeddings = embeddings.astype(np.float32)
        probe = fit_logistic_regression(
            embeddings, labels, classes=3, regularisation=10.0, max_iterations=40
        )
        assert probe.converged
        np.testing.assert_allclose(
            probe.probabilities(embeddings),
            scikit_learn_probabilities(embeddings, labels, 10.0),
            atol=5e-3,
        )

    def test_without_products_of_features_the_minimum_is_the_same(self, monkeypatch):
        embeddings, labels = clusters()
        fast = fit_logistic_regression(embeddings, labels, classes=3)
        monkeypatch.setattr(softmax_regression, "_MOST_PRODUCTS", 7)
        plain = fit_logistic_regression(embeddings, labels, classes=3)
        assert plain.converged
        np.testing.assert_allclose(
            plain.probabilities(embeddings), fast.probabilities(embeddings), atol=1e-3
        )

    def test_separable_classes_are_all_recognised(self):
        embeddings, labels = clusters(spread=0.01)
        probe = fit_logistic_regression(embeddings, labels, classes=3)
        assert probe.accuracy(embeddings, labels) == 1.0

    @given(scale=st.floats(0.01, 100), offset=st.floats(-10, 10))
    @settings(max_examples=10, deadline=None)
    def test_scale_and_offset_of_the_embeddings_do_not_matter(self, scale, offset):
        embeddings, labels = clusters(images=100)
        moved = (embeddings * scale + offset).astype(np.float64)
        probe = fit_logistic_regression(embeddings, labels, classes=3)
        moved_probe = fit_logistic_regression(moved, labels, classes=3)
        np.testing.assert_allclose(
            moved_probe.probabilities(moved), probe.probabilities(embeddings), atol=0.01
        )

    def test_a_constant_feature_changes_nothing(self):
        embeddings, labels = clusters()
        constant = np.full((len(embeddings), 1), 7.3, np.float32)
        probe = fit_logistic_regression(embeddings, labels, classes=3)
        wider = fit_logistic_regression(np.hstack([embeddings, constant]), labels, classes=3)
        np.testing.assert_allclose(wider.weights[:-1], probe.weights, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(wider.weights[-1], 0, atol=1e-6)

    @pytest.mark.parametrize("classes", [2, 4])
    def test_an_absent_class_has_a_column_and_is_never_predicted(self, classes):
        embeddings, labels = clusters(classes=classes)
        # The classes present become 0, 2, 3, ...: 1 is absent, and so is the last one.
        labels = labels + (labels >= 1)
        probe = fit_logistic_regression(embeddings, labels, classes=classes + 2)
        anywhere = np.random.default_rng(1).normal(size=(500, 8)).astype(np.float32) * 100
        assert np.isfinite(probe.logits(anywhere)).all()
        assert not np.isin(probe.logits(anywhere).argmax(axis=1), [1, classes + 1]).any()
        assert probe.probabilities(embeddings)[:, [1, classes + 1]].max() < 1e-12
        assert probe.accuracy(embeddings, labels) > 0.9

    def test_stopping_early_is_recorded_and_warns_nobody(self):
        embeddings, labels = clusters()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            probe = fit_logistic_regression(embeddings, labels, classes=3, max_iterations=1)
        assert probe.converged is False

    def test_a_single_class_is_refused(self):
        with pytest.raises(EvaluationError, match="at least two classes, but all 5 are of class 2"):
            fit_logistic_regression(np.ones((5, 2), np.float32), np.full(5, 2), classes=3)


class TestRecipeProbe:
    def test_one_step_is_adam_s_first_step_from_the_drawn_weights(self):
        # Adam's first step moves each weight by the learning rate against its gradient's sign.
        embeddings, labels = clusters(images=50)
        still = fit_recipe_probe(
            embeddings, labels, classes=3, epochs=1, learning_rate=0.0, schedule_epochs=None
        )
        moved = fit_recipe_probe(
            embeddings, labels, classes=3, epochs=1, learning_rate=0.01, schedule_epochs=None
        )
        errors = still.probabilities(embeddings) - np.eye(3)[labels]
        for step, gradient in (
            (moved.weights - still.weights, embeddings.T @ errors / len(labels)),
            (moved.bias - still.bias, errors.mean(axis=0)),
        ):
            # Keras adds epsilon before it corrects the second moment's bias, 1 - 0.999.
            expected = -0.01 * gradient / (np.abs(gradient) + 1e-8 / np.sqrt(0.001))
            np.testing.assert_allclose(step, expected, rtol=1e-3)

    def test_initial_weights_and_bias_are_uniform_within_one_over_root_width(self):
        embeddings = np.ones((2, 400), np.float32)
        probe = fit_recipe_probe(
            embeddings, np.array([0, 1]), classes=50, epochs=1, learning_rate=0.0
        )
        for drawn in (probe.weights, probe.bias):
            assert np.abs(drawn).max() <= 0.05
            assert drawn.std() == pytest.approx(0.05 / np.sqrt(3), rel=0.2)

    def test_a_seed_draws_the_weights_before_the_bias(self):
        # What was measured with a seed is so only in this order.
        random, limit = np.random.default_rng(5), 1 / np.sqrt(8)
        probe = fit_recipe_probe(
            *clusters(images=9), classes=3, epochs=1, learning_rate=0.0, seed=5
        )
        weights = random.uniform(-limit, limit, (8, 3))
        np.testing.assert_allclose(probe.weights, weights, rtol=1e-6)
        np.testing.assert_allclose(probe.bias, random.uniform(-limit, limit, 3), rtol=1e-6)

    def test_separable_classes_are_all_recognised(self):
        embeddings, labels = clusters(spread=0.01)
        probe = fit_recipe_probe(
            embeddings, labels, classes=3, epochs=60, batch_size=50, learning_rate=0.05
        )
        assert probe.accuracy(embeddings, labels) == 1.0

    def test_the_seed_decides_everything(self):
        embeddings, labels = clusters()
        first, same, other = (
            fit_recipe_probe(embeddings, labels, classes=3, epochs=2, batch_size=70, seed=seed)
            for seed in (3, 3, 4)
        )
        np.testing.assert_array_equal(first.weights, same.weights)
        np.testing.assert_array_equal(first.bias, same.bias)
        assert not np.allclose(first.weights, other.weights)

    def test_the_rate_follows_a_cosine_over_the_epochs_and_rises_again(self):
        embeddings, labels = clusters(images=50)

        def fitted(epochs):
            return fit_recipe_probe(
                embeddings, labels, classes=3, epochs=epochs, schedule_epochs=2
            ).weights

        assert not np.array_equal(fitted(1), fitted(2))
        # The third epoch has rate 0, the fourth that of the second.
        np.testing.assert_allclose(fitted(2), fitted(3), atol=1e-7)
        assert not np.allclose(fitted(3), fitted(4), atol=1e-4)

    def test_the_loss_of_each_epoch_is_the_mean_cross_entropy_of_its_images(self):
        embeddings, labels = clusters(images=50)
        # A rate of 0 keeps the first weights, so that each epoch has their loss.
        probe = fit_recipe_probe(
            embeddings,
            labels,
            classes=3,
            epochs=2,
            batch_size=20,
            learning_rate=0.0,
            schedule_epochs=None,
        )
        logits = embeddings @ probe.weights + probe.bias
        own = logits[np.arange(50), labels]
        expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - own)
        assert probe.losses == pytest.approx([expected, expected], rel=1e-5)

    def test_initial_weights_can_be_keras_s(self):
        # Glorot and Bengio (2010), equation 16.
        probe = fit_recipe_probe(
            np.ones((2, 400), np.float32),
            np.array([0, 1]),
            classes=200,
            epochs=1,
            learning_rate=0.0,
            initializer="keras",
        )
        assert not probe.bias.any()
        assert np.abs(probe.weights).max() == pytest.approx(0.1, rel=0.01)
        assert probe.weights.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.05)

    def test_one_step_of_lamb_moves_the_weights_by_the_rate_times_their_norm(self):
        # You et al. (2020), algorithm 2; where the norm is 0, as of the bias, it is Adam's.
        embeddings, labels = clusters(images=50)
        still, moved = (
            fit_recipe_probe(
                embeddings,
                labels,
                classes=3,
                epochs=1,
                learning_rate=rate,
                schedule_epochs=None,
                optimizer="lamb",
                initializer="keras",
            )
            for rate in (0.0, 0.01)
        )
        step = np.linalg.norm(moved.weights - still.weights)
        assert step == pytest.approx(0.01 * np.linalg.norm(still.weights), rel=1e-3)
        np.testing.assert_allclose(np.abs(moved.bias), 0.01, rtol=1e-2)

    def test_the_penalty_is_on_the_squared_weights_and_not_in_the_reported_loss(self):
        embeddings, labels = clusters(images=50)
        options: dict[str, Any] = {"classes": 3, "epochs": 1, "schedule_epochs": None}
        still = fit_recipe_probe(embeddings, labels, learning_rate=0.0, **options)
        moved = fit_recipe_probe(embeddings, labels, learning_rate=0.01, penalty=1e6, **options)
        # Adam's first step goes by the sign of the gradient, here that of the weights.
        np.testing.assert_allclose(
            moved.weights - still.weights, -0.01 * np.sign(still.weights), rtol=1e-3
        )
        assert moved.losses == pytest.approx(still.losses)

    @pytest.mark.parametrize(("images", "steps"), [(60, 1), (50, 1), (49, 1), (100, 2)])
    def test_what_fills_no_batch_can_be_dropped_unless_it_is_all(self, images, steps):
        embeddings, labels = clusters(images=images)
        options: dict[str, Any] = {"classes": 3, "epochs": 1, "batch_size": 50}
        options["schedule_epochs"] = None
        still, moved = (
            fit_recipe_probe(
                embeddings, labels, learning_rate=rate, last_batch="drop", **options
            ).bias
            for rate in (0.0, 1e-4)
        )
        # Adam moves by at most about its rate a step, and that far where the sign stays.
        assert np.abs(moved - still).max() == pytest.approx(steps * 1e-4, rel=0.05)

    def test_the_accuracy_on_held_out_images_is_measured_after_each_epoch(self):
        embeddings, labels = clusters(images=90)
        held_out = embeddings[60:], labels[60:]
        probe = fit_recipe_probe(
            embeddings[:60], labels[:60], classes=3, epochs=4, learning_rate=0.1, held_out=held_out
        )
        assert len(probe.accuracies) == len(probe.losses) == 4
        assert probe.accuracies[-1] == probe.accuracy(*held_out)
        assert probe.accuracies[0] != probe.accuracies[-1]

    @pytest.mark.parametrize("name", ["epochs", "batch_size", "schedule_epochs"])
    def test_a_count_below_one_is_refused_by_name(self, name):
        embeddings, labels = clusters(images=10)
        zero: dict[str, Any] = {name: 0}
        with pytest.raises(EvaluationError, match=f"{name} must be at least 1, but it is 0"):
            fit_recipe_probe(embeddings, labels, classes=3, **zero)


@pytest.mark.parametrize("fit", [fit_logistic_regression, fit_recipe_probe])
class TestBadInput:
    def test_missing_labels_are_counted(self, fit):
        with pytest.raises(EvaluationError, match=r"\[0, 3\), but 2 of 4 are missing \(-1\)"):
            fit(np.ones((4, 2), np.float32), np.array([0, -1, 1, -1]), classes=3)

    def test_labels_out_of_range_are_named(self, fit):
        with pytest.raises(EvaluationError, match=r"\[0, 3\), but they lie in \[0, 3\]"):
            fit(np.ones((2, 2), np.float32), np.array([0, 3]), classes=3)

    def test_labels_of_another_length_are_refused(self, fit):
        with pytest.raises(EvaluationError, match=r"4 embeddings .* shape is \[3\]"):
            fit(np.ones((4, 2), np.float32), np.array([0, 1, 1]), classes=2)

    def test_fractional_labels_are_refused(self, fit):
        with pytest.raises(EvaluationError, match="integers, but its dtype is float64"):
            fit(np.ones((2, 2), np.float32), np.array([0.0, 1.0]), classes=2)

    def test_one_class_in_all_is_refused(self, fit):
        with pytest.raises(EvaluationError, match="classes must be at least 2, but it is 1"):
            fit(np.ones((2, 2), np.float32), np.array([0, 0]), classes=1)

    def test_values_that_are_not_finite_are_counted(self, fit):
        embeddings = np.array([[1, np.nan], [np.inf, 0]], np.float32)
        with pytest.raises(EvaluationError, match="2 of its 4 values are not"):
            fit(embeddings, np.array([0, 1]), classes=2)

    @pytest.mark.parametrize("shape", [(0, 3), (4,), (2, 3, 1), (3, 0)])
    def test_another_shape_is_refused(self, fit, shape):
        with pytest.raises(EvaluationError, match=r"\[N, D\]"):
            fit(np.ones(shape, np.float32), np.array([0, 1]), classes=2)

    def test_whole_numbers_are_not_embeddings(self, fit):
        with pytest.raises(EvaluationError, match="floating-point, but its dtype is uint8"):
            fit(np.ones((2, 2), np.uint8), np.array([0, 1]), classes=2)
