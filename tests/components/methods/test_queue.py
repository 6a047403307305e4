"""The queue, and the two methods that look things up in it."""

import numpy as np
import pytest
import tensorflow as tf

from tests.components.methods.forms import BATCH, QUEUE, build_form, method_input, shift_by_key
from twofold.components.losses.contrastive import contrastive_accuracy, info_nce_queue, nnclr
from twofold.components.losses.redundancy import correlation_accuracy
from twofold.components.methods.contrastive.moco import _random_order
from twofold.components.methods.queue import SupportQueue
from twofold.components.training.method import sample_views


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_it_starts_with_seeded_directions_of_unit_length():
    rows = SupportQueue(6, 4, seed=1).values().numpy()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(rows, SupportQueue(6, 4, seed=1).values())
    assert not np.allclose(rows, SupportQueue(6, 4, seed=2).values())


def test_first_in_is_first_out():
    queue = SupportQueue(5, 3, seed=1)
    batches = np.random.default_rng(0).normal(size=(3, 2, 3)).astype(np.float32)
    for batch in batches:
        queue.enqueue(tf.constant(batch))
    expected = unit(np.concatenate([batches[2], batches[1], batches[0]]))[:5]
    np.testing.assert_allclose(queue.values(), expected, rtol=1e-6)


def test_a_batch_as_large_as_the_queue_replaces_it():
    queue = SupportQueue(2, 3, seed=1)
    batch = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    queue.enqueue(tf.constant(batch))
    np.testing.assert_allclose(queue.values(), unit(batch), rtol=1e-6)


def projections_of(method, view, *, momentum=False):
    encoder, projector = (
        (method.momentum_encoder, method.momentum_projector)
        if momentum
        else (method.encoder, method.projector)
    )
    return projector(encoder(view, training=True), training=True)


def test_nnclr_without_a_prediction_head_compares_the_projections():
    method, fresh = (build_form("nnclr", predictor=None, neighbour_gradient=True) for _ in range(2))
    batch = method_input()
    views = sample_views(fresh.views, batch.images, batch.keys, compiled=False)
    first, second = (projections_of(fresh, view) for view in views)
    expected, _ = nnclr(first, second, fresh.queue.values(), 0.2)
    np.testing.assert_allclose(method(batch).loss, expected, rtol=1e-5)
    assert set(method.models) == {"encoder", "projector"}


def test_nnclr_looks_up_before_it_enqueues():
    method, fresh = (build_form("nnclr", accuracies_of="projections") for _ in range(2))
    batch = method_input()
    before = method.queue.values().numpy()
    output = method(batch)
    np.testing.assert_array_equal(method.queue.values(), before)

    views = sample_views(fresh.views, batch.images, batch.keys, compiled=False)
    first, second = (projections_of(fresh, view) for view in views)
    expected, accuracy = nnclr(
        first,
        second,
        tf.constant(before),
        0.2,
        predictions=tuple(fresh.predictor(one, training=True) for one in (first, second)),
        straight_through=False,
    )
    np.testing.assert_allclose(output.loss, expected, rtol=1e-5)
    assert accuracy > 0

    method.after_update([output], batch.step)
    after = method.queue.values().numpy()
    np.testing.assert_allclose(after[:BATCH], unit(first.numpy()), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(after[BATCH:], before[: QUEUE - BATCH])


def test_moco_repels_the_queue_and_enqueues_the_other_view_of_the_momentum_networks():
    method, fresh = (build_form("moco", batch_norm_groups=1) for _ in range(2))
    batch = method_input()
    before = method.queue.values().numpy()
    output = method(batch)

    first, second = sample_views(fresh.views, batch.images, batch.keys, compiled=False)
    queries = projections_of(fresh, first)
    keys = projections_of(fresh, second, momentum=True)
    expected, accuracy = info_nce_queue(queries, keys, tf.constant(before), 0.2)
    np.testing.assert_allclose(output.loss, expected, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["contrastive_accuracy"], accuracy, rtol=1e-5)

    method.after_update([output], batch.step)
    after = method.queue.values().numpy()
    np.testing.assert_allclose(after[:BATCH], unit(keys.numpy()), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(after[BATCH:], before[: QUEUE - BATCH])


def test_moco_normalises_parts_of_the_batch_by_themselves_and_shuffles_the_keys_images():
    # He et al. (2020), section 3.3; two images a part.
    method, fresh = (build_form("moco", batch_norm_groups=4) for _ in range(2))
    batch = method_input()
    first, second = sample_views(fresh.views, batch.images, batch.keys, compiled=False)
    order = _random_order(batch.keys).numpy()
    assert sorted(order) == list(range(BATCH))
    assert any(order != np.arange(BATCH))

    queries = [projections_of(fresh, part) for part in tf.split(first, 4)]
    shuffled = tf.split(tf.gather(second, order), 4)
    keys = np.concatenate([projections_of(fresh, part, momentum=True) for part in shuffled])
    keys = keys[np.argsort(order)]
    expected, _ = info_nce_queue(tf.concat(queries, 0), keys, fresh.queue.values(), 0.2)
    output = method(batch)
    np.testing.assert_allclose(output.loss, expected, rtol=1e-5)
    np.testing.assert_allclose(output.carried["projections"], keys, rtol=1e-4, atol=1e-6)


def test_the_order_of_the_keys_images_is_another_at_each_step():
    orders = {tuple(_random_order(method_input(step).keys).numpy()) for step in range(4)}
    assert len(orders) == 4


def test_nnclrs_accuracies_are_of_the_features_unless_told_otherwise():
    batch = method_input()
    views = sample_views((shift_by_key,) * 2, batch.images, batch.keys, compiled=False)
    encoder = build_form("nnclr").encoder
    features = [encoder(view, training=True) for view in views]
    metrics = build_form("nnclr")(batch).metrics
    for name, accuracy in (
        ("contrastive_accuracy", contrastive_accuracy),
        ("correlation_accuracy", correlation_accuracy),
    ):
        np.testing.assert_allclose(metrics[name], accuracy(*features), rtol=1e-5)


@pytest.mark.parametrize("form", ["nnclr", "moco"])
def test_no_gradient_reaches_the_memory(form):
    method, batch = build_form(form), method_input()
    watched = [
        v.value
        for name in sorted(method.memory)
        if name != "queue"
        for v in method.memory[name].trainable_variables
    ]
    watched.append(method.queue.rows)
    with tf.GradientTape() as tape:
        tape.watch(watched)
        loss = method(batch).loss
    assert all(gradient is None for gradient in tape.gradient(loss, watched))
