import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from tests.components.losses.replicated import add_up
from twofold.components.losses.distillation import confident, consistency, cross_entropy


def logits_of(images, classes, seed=0):
    return 3 * np.random.default_rng(seed).normal(size=(images, classes))


def divergences(student, teacher, temperature):
    """KL(softmax(teacher / T) || softmax(student / T)) of each image."""
    p, q = (special.softmax(logits / temperature, axis=1) for logits in (teacher, student))
    return special.rel_entr(p, q).sum(axis=1)


def of(function, student, teacher, *arguments, **options):
    return function(tf.constant(student), tf.constant(teacher), *arguments, **options).numpy()


class TestConsistency:
    @given(
        images=st.integers(1, 7),
        classes=st.integers(2, 6),
        temperature=st.sampled_from([0.5, 1.0, 10.0]),
        squared=st.booleans(),
        seed=st.integers(0, 1_000),
    )
    @settings(max_examples=30)
    def test_equals_the_formula(self, images, classes, temperature, squared, seed):
        student, teacher = logits_of(images, classes, seed), logits_of(images, classes, seed + 1)

        loss = of(consistency, student, teacher, temperature, squared_temperature=squared)

        expected = np.mean(divergences(student, teacher, temperature))
        assert loss == pytest.approx(
            expected * (temperature**2 if squared else 1), rel=1e-9, abs=1e-12
        )

    def test_two_classes_have_a_closed_form(self):
        # Probabilities 3/4, 1/4 of the teacher at T = 2, and 1/2, 1/2 of the student.
        loss = of(consistency, [[1.0, 1.0]], [[2 * math.log(3), 0.0]], 2.0)

        assert loss == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), rel=1e-6)

    def test_a_student_that_agrees_costs_nothing_whatever_it_adds_to_all_logits(self):
        teacher = logits_of(5, 4)

        assert of(consistency, teacher + 7, teacher, 3.0) == pytest.approx(0, abs=1e-12)

    def test_it_is_the_teachers_mass_that_must_be_covered(self):
        sure, unsure = [[8.0, 0.0]], [[0.0, 0.0]]

        assert of(consistency, sure, unsure, 1.0) > 4 * of(consistency, unsure, sure, 1.0)

    def test_weights_choose_the_images_of_the_mean(self):
        student, teacher = logits_of(4, 3), logits_of(4, 3, seed=1)
        weights = np.array([1.0, 0.0, 0.0, 3.0])

        loss = of(consistency, student, teacher, 2.0, weights=tf.constant(weights))

        expected = np.average(divergences(student, teacher, 2.0), weights=weights)
        assert loss == pytest.approx(expected, rel=1e-12)

    def test_no_weight_at_all_costs_nothing(self):
        student = tf.constant(logits_of(4, 3))
        with tf.GradientTape() as tape:
            tape.watch(student)
            loss = consistency(student, -student, 2.0, weights=tf.zeros(4))

        assert loss.numpy() == 0
        np.testing.assert_array_equal(tape.gradient(loss, student), np.zeros((4, 3)))

    def test_the_teacher_gets_no_gradient(self):
        tensors = [tf.constant(logits_of(4, 3, seed)) for seed in (0, 1)]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss = consistency(tensors[0], tensors[1], 2.0)

        student, teacher = tape.gradient(loss, tensors)
        assert np.any(student)
        assert teacher is None

    def test_the_squared_temperature_keeps_the_gradients_size(self):
        student = tf.constant(logits_of(4, 3))
        teacher = tf.constant(logits_of(4, 3, seed=1))

        def size(temperature):
            with tf.GradientTape() as tape:
                tape.watch(student)
                loss = consistency(student, teacher, temperature, squared_temperature=True)
            return np.abs(tape.gradient(loss, student)).sum()

        assert size(1_000.0) == pytest.approx(size(100.0), rel=0.05)


class TestConfident:
    def test_marks_the_images_with_a_class_that_is_likely_enough(self):
        probabilities = np.array([[0.90, 0.05, 0.05], [0.30, 0.30, 0.40], [0.05, 0.80, 0.15]])

        mask = confident(tf.constant(np.log(probabilities)), 0.75)

        np.testing.assert_array_equal(mask, [1.0, 0.0, 1.0])
        assert mask.dtype == tf.float64

    def test_the_threshold_itself_is_enough(self):
        np.testing.assert_array_equal(confident(tf.zeros((2, 4)), 0.25), [1.0, 1.0])

    def test_half_precision_is_computed_in_float32(self):
        assert confident(tf.zeros((2, 4), tf.float16), 0.5).dtype == tf.float32


class TestCrossEntropy:
    @given(images=st.integers(1, 8), classes=st.integers(2, 5), seed=st.integers(0, 1_000))
    @settings(max_examples=30)
    def test_equals_the_formula_over_the_labelled_images(self, images, classes, seed):
        logits = logits_of(images, classes, seed)
        labels = np.random.default_rng(seed).integers(-1, classes, images, dtype=np.int32)

        loss, accuracy = cross_entropy(tf.constant(logits), tf.constant(labels))

        rows = [row for row in range(images) if labels[row] >= 0]
        losses = [-math.log(special.softmax(logits[row])[labels[row]]) for row in rows]
        hits = [logits[row].argmax() == labels[row] for row in rows]
        assert loss.numpy() == pytest.approx(np.mean(losses) if rows else 0, rel=1e-9)
        assert accuracy.numpy() == pytest.approx(np.mean(hits) if rows else 0)

    def test_equal_logits_cost_the_logarithm_of_the_classes(self):
        loss, _ = cross_entropy(tf.zeros((3, 7)), tf.constant([2, -1, 6]))

        assert loss.numpy() == pytest.approx(math.log(7), rel=1e-6)

    def test_unlabelled_images_get_no_gradient(self):
        logits = tf.constant(logits_of(3, 4))
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss, _ = cross_entropy(logits, tf.constant([1, -1, 2]))

        gradient = tape.gradient(loss, logits).numpy()
        assert not np.any(gradient[1])
        assert np.all(np.any(gradient[[0, 2]], axis=1))

    def test_a_global_batch_without_labels_costs_nothing(self):
        logits, labels = logits_of(4, 3), np.full(4, -1, np.int32)

        shares, (gradient,) = add_up(cross_entropy, [logits, labels], replicas=2)

        assert shares == [0, 0]
        assert not np.any(gradient)
