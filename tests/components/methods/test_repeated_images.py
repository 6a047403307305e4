"""Images that a batch holds several times: views of their own, and no negatives of each other."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from tests.components.methods.forms import (
    BATCH,
    PROJECTIONS,
    QUEUE,
    build_form,
    distribute_batch,
    global_batch,
    method_input,
    values_of,
)
from tests.components.training.trained import assert_alike, build_state, float64
from tests.strategies import strategy_of
from twofold.components import keyed_random
from twofold.components.losses.contrastive import (
    cross_view,
    few_negatives,
    info_nce_queue,
    nearest_neighbour,
    nnclr,
    nt_xent,
    same_images,
)
from twofold.components.methods.queue import SupportQueue
from twofold.components.training.step import StepSettings, build_train_step

# Of 100 images 25 stand there twice; a perfect encoder gives each image a direction of its own.
IDS = np.repeat(np.arange(75), np.where(np.arange(75) < 25, 2, 1))
PERFECT = np.eye(75)[IDS]
VIEWS = tf.constant(np.stack([PERFECT, PERFECT]))
SAME = same_images(tf.constant(IDS))
START = tf.constant(0)
TAU = 0.1
ONE = math.exp(1 / TAU)


def cost(negatives: int, positives: int = 1) -> float:
    """The loss of a projection that is equal to so many, and orthogonal to so many."""
    return math.log((positives * ONE + negatives) / ONE)


# Of the rows, half belong to images that stand there twice.
OF_NT_XENT = (cost(196) + cost(198)) / 2
OF_OTHER_VIEW = (cost(98) + cost(99)) / 2


def test_a_perfect_encoder_is_perfect_by_nt_xent() -> None:
    loss, accuracy = nt_xent(VIEWS, VIEWS, START, TAU, SAME)
    assert float(loss) == pytest.approx(OF_NT_XENT, rel=1e-9)
    assert float(loss) == pytest.approx(0.0089, abs=1e-4)
    assert float(accuracy) == 1.0

    # As negatives, the two views of the other occurrence would be as near as the partner.
    loss, accuracy = nt_xent(VIEWS, VIEWS, START, TAU)
    assert float(loss) == pytest.approx((cost(196, positives=3) + cost(198)) / 2, rel=1e-9)
    assert float(accuracy) < 1.0


def test_a_perfect_encoder_is_perfect_by_the_other_view() -> None:
    loss, accuracy = cross_view(VIEWS, VIEWS, START, TAU, SAME)
    assert float(loss) == pytest.approx(OF_OTHER_VIEW, rel=1e-9)
    assert float(accuracy) == 1.0


def test_a_perfect_encoder_is_perfect_by_few_negatives() -> None:
    keys = keyed_random.image_keys(1, tf.constant(0, tf.int64), tf.range(100, dtype=tf.int64))
    loss, accuracy = few_negatives(VIEWS, VIEWS, START, TAU, 5, keys, SAME)
    # The positive is not in the denominator.
    assert float(loss) == pytest.approx(math.log(5) - 1 / TAU, rel=1e-9)
    assert float(accuracy) == 1.0


def test_fewer_negatives_are_drawn_where_the_batch_has_no_more() -> None:
    ids = tf.constant([7, 7, 8])
    views = tf.constant(np.stack([np.eye(2)[[0, 0, 1]]] * 2))
    keys = keyed_random.image_keys(1, tf.constant(0, tf.int64), tf.constant([7, 7, 8], tf.int64))
    loss, _ = few_negatives(views, views, START, TAU, 4, keys, same_images(ids))
    # Two of another image for the four rows of image 7, four for the two of image 8.
    assert float(loss) == pytest.approx((4 * math.log(2) + 2 * math.log(4)) / 6 - 10, rel=1e-9)

    of_one = tf.constant(np.ones((2, 3, 2)))
    loss, accuracy = few_negatives(
        of_one, of_one, START, TAU, 4, keys, same_images(tf.constant([7, 7, 7]))
    )
    assert (float(loss), float(accuracy)) == (0.0, 1.0)


def test_a_perfect_encoder_is_perfect_by_nnclr() -> None:
    # Each image's neighbour is its own direction, under another image's name.
    queue, of_queue = tf.constant(np.eye(75)), tf.constant(np.arange(75) + 1000)
    loss, accuracy = nnclr(
        VIEWS[0], VIEWS[1], queue, TAU, SAME, tf.constant(IDS)[:, None] == of_queue[None, :]
    )
    assert float(loss) == pytest.approx(OF_OTHER_VIEW, rel=1e-9)
    assert float(accuracy) == 1.0


def test_a_row_of_the_same_image_is_no_neighbour() -> None:
    queue = tf.constant([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    same = tf.constant([[True, False, False]])
    found = nearest_neighbour(tf.constant([[2.0, 0.0]]), queue, same)
    np.testing.assert_allclose(found, [[0.8, 0.6]], rtol=1e-6)


def test_rows_of_the_same_image_are_no_negatives_in_a_queue() -> None:
    queue, of_queue = tf.constant(np.eye(75)), tf.constant(np.arange(75))
    loss, accuracy = info_nce_queue(
        VIEWS[0], VIEWS[1], queue, TAU, tf.constant(IDS)[:, None] == of_queue[None, :]
    )
    assert float(loss) == pytest.approx(cost(74), rel=1e-9)
    assert float(accuracy) == 1.0


def test_a_queue_knows_the_images_of_its_rows() -> None:
    queue = SupportQueue(4, 2, seed=1, images=True)
    for ids in ([5, 6], [6, 7]):
        queue.enqueue(tf.ones([2, 2]), tf.constant(ids, tf.int64))
    same = queue.same_images(tf.constant([6, 9], tf.int64))
    assert same is not None
    np.testing.assert_array_equal(same, [[True, False, False, True], [False] * 4])
    assert SupportQueue(4, 2, seed=1).same_images(tf.constant([6], tf.int64)) is None


def keys_of(replicas: int, ids: list[int]) -> list[int]:
    strategy = strategy_of(replicas)

    def of_replica(part: dict[str, tf.Tensor]) -> tf.Tensor:
        keys = keyed_random.image_keys(3, tf.constant(1, tf.int64), part["image"])
        return tf.cast(keyed_random.tell_repeats_apart(keys, part["image"]), tf.int64)

    batch = distribute_batch(strategy, {"image": np.array(ids, np.int64)})
    found = tf.function(lambda part: strategy.run(of_replica, args=(part,)))(batch)
    parts = strategy.experimental_local_results(found)
    return [int(key) for part in parts for key in part.numpy()]


def test_an_image_draws_anew_at_each_occurrence_and_as_ever_at_its_first() -> None:
    ids = [4, 9, 4, 2, 9, 4, 8, 1]
    plain = keyed_random.image_keys(3, tf.constant(1, tf.int64), tf.constant(ids, tf.int64))
    keys = keys_of(1, ids)
    for position in (0, 1, 3, 6, 7):
        assert keys[position] == int(plain[position])
    assert len(set(keys)) == len(keys)
    assert keys_of(2, ids) == keys
    assert keys_of(4, ids) == keys


REPEATING = {"key_hash": np.array([5, 6, 5, 7, 5, 8, 6, 9], np.int64)}
FORMS = ("simclr", "simclr, other view", "simclr, few negatives", "nnclr", "moco")


def _with_images(form: str):
    if form not in ("nnclr", "moco"):
        return build_form(form)
    return build_form(form, queue=SupportQueue(QUEUE, PROJECTIONS, seed=3, images=True))


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_without_repeats_is_as_ever(form: str) -> None:
    batch = method_input()
    ids = tf.constant(global_batch(0)["key_hash"])
    output = _with_images(form)(dataclasses.replace(batch, image_ids=ids))
    expected = build_form(form)(batch)
    assert float(output.loss) == float(expected.loss)
    accuracy = "contrastive_accuracy"
    assert float(output.metrics[accuracy]) == float(expected.metrics[accuracy])


def _train(replicas: int, form: str):
    strategy = strategy_of(replicas)
    with strategy.scope():
        method = _with_images(form)
        state = build_state(method, replicas)
    step = build_train_step(strategy, method, state, StepSettings(seed=11, repeats=True))
    metrics = []
    for index in range(2):
        # The images of an occurrence are those of the image.
        images = global_batch(0)["image"][REPEATING["key_hash"] - 5]
        batch = global_batch(index) | REPEATING | {"image": images}
        assert len(batch["image"]) == BATCH
        metrics.append(
            {name: value.numpy() for name, value in step(distribute_batch(strategy, batch)).items()}
        )
    return metrics, values_of(state)


@pytest.mark.parametrize(
    "form", ["nnclr", *(pytest.param(f, marks=pytest.mark.long) for f in FORMS)]
)
def test_two_replicas_equal_one_device_where_images_repeat(form: str) -> None:
    with float64():
        assert_alike(_train(2, form), _train(1, form))
