"""Self-training: a teacher on the clean view, a student on the noisy one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.components.methods.forms import (
    BATCH,
    build_form,
    distribute_batch,
    global_batch,
    method_input,
    shift_by_key,
)
from tests.strategies import strategy_of
from twofold.components.methods.settings import METHODS
from twofold.components.training.method import sample_views
from twofold.components.training.step import StepSettings, TrainState, build_train_step


def unchanged(images, keys):
    return images


class Seen:
    """Keeps what a network was shown."""

    def __init__(self, network):
        self.network, self.images = network, None

    def __call__(self, images, training):
        self.images = images.numpy()
        return self.network(images, training=training)


def views_of(**policies):
    """Gives what the teacher and the student are shown."""
    built = build_form("self_training", **policies)
    teacher, student = Seen(built.teacher_encoder), Seen(built.encoder)
    build_form("self_training", encoder=student, teacher_encoder=teacher, **policies)(
        method_input()
    )
    return teacher.images, student.images


def test_without_noise_teacher_and_student_see_the_same_crop():
    clean, noisy = views_of(clean=shift_by_key, noise=unchanged)
    np.testing.assert_array_equal(clean, noisy)
    assert not np.array_equal(clean, method_input().images.numpy() / np.float32(255))


def test_noise_is_added_to_the_students_view_of_that_crop_alone():
    clean, noisy = views_of(clean=shift_by_key, noise=lambda images, keys: images / 2)
    np.testing.assert_array_equal(noisy, clean / 2)
    drawn, noisy = views_of(clean=shift_by_key, noise=shift_by_key)
    np.testing.assert_array_equal(drawn, clean)
    factors = noisy.sum(axis=(1, 2, 3)) / clean.sum(axis=(1, 2, 3))
    assert len(np.unique(factors.round(4))) > 1, "the noise has keys of its own"


def test_with_crops_of_their_own_the_student_sees_another_view_of_the_same_image():
    clean, other = views_of(clean=shift_by_key, noise=unchanged, crops="own")
    drawn, _ = views_of(clean=shift_by_key, noise=unchanged)

    np.testing.assert_allclose(clean, drawn, rtol=1e-6)
    factors = other.sum(axis=(1, 2, 3)) / clean.sum(axis=(1, 2, 3))
    assert len(np.unique(factors.round(4))) == BATCH


def test_configurations_of_when_there_was_one_randaugment_mean_torchvisions():
    former = METHODS.validate({"name": "self_training", "noise_layers": 3, "noise_magnitude": 20})

    noise = {"name": "randaugment_torchvision", "layers": 3, "magnitude": 20}
    assert former == METHODS.validate({"name": "self_training", "noise": noise})


def test_the_loss_is_the_mean_of_its_two_parts():
    output = build_form("self_training")(method_input())
    parts = output.metrics
    np.testing.assert_allclose(
        output.loss, (parts["cross_entropy"] + parts["consistency"]) / 2, rtol=1e-6
    )


def test_t_squared_multiplies_the_second_part():
    plain = build_form("self_training")(method_input()).metrics
    squared = build_form("self_training", squared_temperature=True)(method_input()).metrics
    np.testing.assert_allclose(squared["consistency"], 4 * plain["consistency"], rtol=1e-5)
    np.testing.assert_allclose(squared["cross_entropy"], plain["cross_entropy"], rtol=1e-6)


def test_images_that_the_teacher_is_not_confident_of_are_left_out():
    method, batch = build_form("self_training"), method_input()
    (clean,) = sample_views((method.clean,), batch.images, batch.keys, compiled=False)
    teacher = method.teacher_head(method.teacher_encoder(clean, training=False)).numpy()
    largest = tf.nn.softmax(teacher).numpy().max(axis=1)
    threshold = float(np.sort(largest)[BATCH // 2])

    consistency = {
        confidence: float(
            build_form("self_training", confidence=confidence)(batch).metrics["consistency"]
        )
        for confidence in (None, 0.0, threshold, 1.0)
    }
    assert consistency[1.0] == 0
    assert consistency[0.0] == pytest.approx(consistency[None], rel=1e-6)
    assert 0 < (largest >= threshold).sum() < BATCH
    assert consistency[threshold] not in (consistency[None], 0.0)


def test_images_without_a_label_learn_from_the_teacher_alone():
    unlabelled = method_input(label=np.full(BATCH, -1, np.int32))
    output = build_form("self_training", confidence=None)(unlabelled)
    assert float(output.metrics["cross_entropy"]) == 0
    labelled = build_form("self_training", confidence=None)(method_input())
    np.testing.assert_allclose(
        output.metrics["consistency"], labelled.metrics["consistency"], rtol=1e-6
    )


def test_the_teacher_gets_no_gradient():
    method = build_form("self_training")
    weights = [variable.value for variable in method.teacher_encoder.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = method(method_input()).loss
    assert all(gradient is None for gradient in tape.gradient(loss, weights))


def test_a_step_moves_neither_the_teachers_weights_nor_its_statistics():
    method = build_form("self_training")
    teacher = method.teacher_encoder.variables + method.teacher_head.variables
    before = [np.asarray(variable) for variable in teacher]
    state = TrainState(method.models, keras.optimizers.SGD(0.1), memory=method.memory)
    state.build()
    step = build_train_step(strategy_of(1), method, state, StepSettings(seed=11))
    step(distribute_batch(strategy_of(1), global_batch(0)))
    for variable, value in zip(teacher, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_student_that_is_its_teacher_agrees_with_it():
    # In inference mode, where batch statistics make no difference.
    method = build_form("self_training", noise=unchanged, confidence=None)
    teacher = Seen(method.teacher_encoder)
    same = build_form(
        "self_training",
        encoder=lambda images, training: teacher(images, training=False),
        head=method.teacher_head,
        teacher_encoder=teacher,
        teacher_head=method.teacher_head,
        noise=unchanged,
        confidence=None,
    )
    assert float(same(method_input()).metrics["consistency"]) == pytest.approx(0, abs=1e-7)
