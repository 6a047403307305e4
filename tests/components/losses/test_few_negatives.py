import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from twofold.components.losses.contrastive import few_negatives, nt_xent


def projections(images, width=6, seed=0):
    return np.random.default_rng(seed).normal(size=(2, images, width))


def keys_of(images, seed=0):
    return np.random.default_rng(seed).integers(0, 2**32, images, dtype=np.uint32)


def loss_of(views, negatives, keys, temperature=0.5):
    views = tf.constant(views)
    loss, accuracy = few_negatives(
        views, views, tf.constant(0), temperature, negatives, tf.constant(keys)
    )
    return loss.numpy(), accuracy.numpy()


def similarities(views):
    rows = views.reshape(-1, views.shape[-1])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


def chosen_columns(images, negatives, keys):
    """Reads off the chosen negatives of each anchor: those that the loss has a gradient by.

    The projections are orthogonal, so that the gradient of an anchor has an entry for its partner
    (below zero) and for each of its negatives (above).
    """
    views = tf.constant(np.eye(2 * images).reshape(2, images, 2 * images))
    with tf.GradientTape() as tape:
        tape.watch(views)
        loss, _ = few_negatives(
            views, tf.stop_gradient(views), tf.constant(0), 0.5, negatives, tf.constant(keys)
        )
    gradient = tape.gradient(loss, views).numpy().reshape(2 * images, 2 * images)
    return [set(np.flatnonzero(row > 1e-9)) for row in gradient]


@given(images=st.integers(2, 6), seed=st.integers(0, 1_000), data=st.data())
@settings(max_examples=25)
def test_the_negatives_are_different_and_neither_the_anchor_nor_its_partner(images, seed, data):
    negatives = data.draw(st.integers(1, 2 * images - 2))

    chosen = chosen_columns(images, negatives, keys_of(images, seed))

    for anchor, columns in enumerate(chosen):
        assert len(columns) == negatives
        assert not columns & {anchor, (anchor + images) % (2 * images)}


@given(images=st.integers(2, 6), seed=st.integers(0, 1_000), data=st.data())
@settings(max_examples=25)
def test_equals_the_formula_in_plain_loops(images, seed, data):
    negatives = data.draw(st.integers(1, 2 * images - 2))
    views, keys = projections(images, seed=seed), keys_of(images, seed)

    loss, accuracy = loss_of(views, negatives, keys, temperature=0.2)

    scores = np.exp(similarities(views) / 0.2)
    losses = []
    for anchor, columns in enumerate(chosen_columns(images, negatives, keys)):
        partner = (anchor + images) % (2 * images)
        losses.append(-math.log(scores[anchor, partner] / sum(scores[anchor, list(columns)])))
    assert loss == pytest.approx(np.mean(losses), rel=1e-9, abs=1e-12)
    _, expected = nt_xent(tf.constant(views), tf.constant(views), tf.constant(0), 0.2)
    assert accuracy == expected.numpy()


def test_all_negatives_give_nt_xent_without_the_positive_in_the_denominator():
    views = projections(4)
    scores = similarities(views) / 0.5
    partner = np.roll(np.arange(8), 4)
    positive = scores[np.arange(8), partner]
    scores[np.arange(8), np.arange(8)] = scores[np.arange(8), partner] = -np.inf

    loss, _ = loss_of(views, 6, keys_of(4))

    assert loss == pytest.approx(np.mean(special.logsumexp(scores, axis=1) - positive), rel=1e-12)


@pytest.mark.parametrize("negatives", [1, 2, 5])
def test_equal_views_of_orthogonal_images_have_a_closed_form(negatives):
    images = negatives + 4
    # A negative is either view of another image: all are at similarity 0, the partner at 1.
    loss, accuracy = loss_of(np.stack([np.eye(images)] * 2), negatives, keys_of(images), 0.1)

    assert loss == pytest.approx(math.log(negatives) - 10, rel=1e-12)
    assert accuracy == 1.0


def test_every_set_of_negatives_is_equally_likely():
    images, draws = 3, 1_500
    counts = dict.fromkeys(itertools.product(range(6), itertools.combinations(range(6), 2)), 0)
    # Many keys at once: an image's choice depends on its own key only.
    views = tf.constant(np.eye(6).reshape(2, images, 6), tf.float32)
    keys = tf.constant(keys_of(draws * images).reshape(draws, images))

    @tf.function
    def gradients(keys):
        def one(keys):
            with tf.GradientTape() as tape:
                tape.watch(views)
                everywhere = tf.stop_gradient(views)
                loss, _ = few_negatives(views, everywhere, tf.constant(0), 0.5, 2, keys)
            return tape.gradient(loss, views)

        return tf.map_fn(one, keys, fn_output_signature=tf.float32)

    for draw in gradients(keys).numpy().reshape(draws, 6, 6) > 1e-6:
        for anchor, row in enumerate(draw):
            first, second = np.flatnonzero(row).tolist()
            counts[anchor, (first, second)] += 1

    for anchor in range(6):
        possible = set(range(6)) - {anchor, (anchor + images) % 6}
        observed = [counts[anchor, pair] for pair in itertools.combinations(sorted(possible), 2)]
        assert sum(observed) == draws
        assert stats.chisquare(observed).pvalue > 1e-3


def test_the_choice_belongs_to_the_key_and_the_view():
    keys = keys_of(6)
    chosen = chosen_columns(6, 3, keys)

    assert chosen_columns(6, 3, keys) == chosen
    keys[0] += 1
    changed = chosen_columns(6, 3, keys)
    different = [anchor for anchor in range(12) if changed[anchor] != chosen[anchor]]
    assert set(different) <= {0, 6}
    assert different
    # The two views of an image choose on their own.
    assert any((chosen[image] ^ chosen[image + 6]) - {image, image + 6} for image in range(6))


@pytest.mark.parametrize("negatives", [0, 7])
def test_a_number_of_negatives_that_is_not_there_is_refused(negatives):
    with pytest.raises(ValueError, match=f"from 1 to 2N - 2 = 6 .* received {negatives}"):
        loss_of(projections(4), negatives, keys_of(4))


@pytest.mark.parametrize(
    ("share", "count"),
    # Of 2N = 40 projections, rounded down; at least one, and at most all but two.
    [(0.05, 2), (0.06, 2), (0.5, 20), (0.001, 1), (0.99, 38)],
)
def test_negatives_can_be_given_as_their_share(share, count):
    views, keys = projections(20), keys_of(20)
    assert loss_of(views, share, keys) == loss_of(views, count, keys)
