"""Gradients are added up, then clipped, then applied, once, on any number of replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.strategies import strategy_of
from twofold.components.training.optimizers.gradients import apply_gradients

# Of four parts of a batch; they point in different directions, so that clipping each first tells.
PARTS = np.random.default_rng(0).normal(size=(4, 5))
SUM = PARTS.sum(axis=0)


def replica_share(parts, replicas):
    """Returns this replica's part of the gradient, summed over its images."""
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return tf.reduce_sum(tf.constant(np.stack(np.split(parts, replicas)))[replica], axis=0)


def updated(replicas, parts, *, clip_norm, optimizer=lambda: keras.optimizers.SGD(1.0), steps=1):
    """Gives the weights of every replica, the norm and the optimizer after some steps."""
    strategy = strategy_of(replicas)
    with strategy.scope():
        variables = [keras.Variable(np.zeros(size), dtype=parts.dtype) for size in (2, 3)]
        one = optimizer()
        one.build(variables)

    @tf.function
    def step():
        def replica_step():
            share = replica_share(parts, replicas)
            return apply_gradients(one, [share[:2], share[2:]], variables, clip_norm=clip_norm)

        return strategy.run(replica_step)

    for _ in range(steps):
        norm = step()
    copies = [strategy.experimental_local_results(variable.value) for variable in variables]
    weights = [
        np.concatenate([part.numpy() for part in copy]) for copy in zip(*copies, strict=True)
    ]
    norms = strategy.experimental_local_results(norm)
    return weights, [one if one is None else float(one) for one in norms], one


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_the_sum_is_clipped_not_the_replicas_shares(replicas):
    bound = 0.5 * np.linalg.norm(SUM)
    weights, norms, _ = updated(replicas, PARTS, clip_norm=bound)

    shares = PARTS.reshape(2, 2, 5).sum(axis=1)
    clipped_first = sum(one * min(1, bound / np.linalg.norm(one)) for one in shares)
    assert not np.allclose(clipped_first, SUM / 2, atol=1e-2), "the case cannot tell"
    for copy in weights:
        np.testing.assert_allclose(copy, -SUM / 2, rtol=0, atol=1e-9)
    np.testing.assert_allclose(norms, np.linalg.norm(SUM), rtol=1e-12)


@pytest.mark.parametrize("replicas", [1, 2, 4])
@pytest.mark.parametrize("clip_norm", [None, 1e3])
def test_gradients_within_the_bound_are_applied_as_they_are(replicas, clip_norm):
    weights, norms, _ = updated(replicas, PARTS, clip_norm=clip_norm, steps=2)

    for copy in weights:
        np.testing.assert_allclose(copy, -2 * SUM, rtol=0, atol=1e-9)
    # Without a bound it is not worth an exchange of its own.
    measured = clip_norm is not None or replicas == 1
    expected = [pytest.approx(np.linalg.norm(SUM)) if measured else None] * len(norms)
    assert norms == expected


def scaled_sgd():
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0), initial_scale=64.0)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("share", [0.5, None])
def test_a_scaled_loss_gives_the_update_of_the_loss(replicas, share):
    bound = None if share is None else share * np.linalg.norm(SUM)
    scaled = (64 * PARTS).astype(np.float32)
    weights, norms, optimizer = updated(replicas, scaled, clip_norm=bound, optimizer=scaled_sgd)

    for copy in weights:
        np.testing.assert_allclose(copy, -SUM * (share or 1.0), rtol=1e-5)
    if share is not None:
        np.testing.assert_allclose(norms, np.linalg.norm(SUM), rtol=1e-6)
    assert optimizer.dynamic_scale.numpy() == 64.0


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_number_that_is_not_finite_on_one_replica_skips_the_update(replicas, clip_norm, bad):
    parts = PARTS.astype(np.float32)
    # On the last replica, where LossScaleOptimizer does not look.
    parts[-1, 0] = bad
    weights, _, optimizer = updated(
        replicas, parts, clip_norm=clip_norm, optimizer=scaled_sgd, steps=2
    )

    np.testing.assert_array_equal(weights, 0.0)
    assert optimizer.dynamic_scale.numpy() == 16.0
    assert optimizer.iterations.numpy() == 0


def test_a_weight_without_gradient_is_refused():
    with keras.name_scope("lost"):
        variable = keras.Variable(0.0, name="kernel")
    with pytest.raises(ValueError, match="no gradient reaches lost/kernel"):
        apply_gradients(keras.optimizers.SGD(), [None], [variable])
