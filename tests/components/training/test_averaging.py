"""Averages of the weights, equal on every replica, and statistics that fit them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.strategies import strategy_of
from twofold.components.training.averaging import (
    ExponentialMovingAverage,
    StochasticWeightAverage,
    averaged,
    reestimate_batch_norm,
)

PATH = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)


def follow(replicas, build, path=PATH):
    """Moves a weight along a path, as training would, and gives the average at each point."""
    strategy = strategy_of(replicas)
    with strategy.scope():
        weight = keras.Variable(np.full(3, 7.0, np.float32))
        average = build([weight])

    @tf.function
    def step(count, value):
        def replica_step():
            weight.assign(value) if replicas == 1 else None
            average.update(count)

        strategy.run(replica_step)

    points = []
    for count, value in enumerate(path, start=1):
        if replicas > 1:
            weight.assign(value)
        step(tf.constant(count, tf.int64), tf.constant(value))
        copies = strategy.experimental_local_results(average.averages[0].value)
        for copy in copies:
            np.testing.assert_array_equal(copy.numpy(), copies[0].numpy())
        points.append(copies[0].numpy())
    return np.array(points), average


@pytest.mark.parametrize("replicas", [1, 2])
def test_the_moving_average_follows_its_formula(replicas):
    points, _ = follow(replicas, lambda variables: ExponentialMovingAverage(variables, 0.8))

    expected = PATH[0]
    for point, weight in zip(points, PATH, strict=True):
        expected = 0.8 * expected + 0.2 * weight
        np.testing.assert_allclose(point, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize(("start", "period"), [(0, 1), (0, 4), (3, 2)])
def test_the_stochastic_average_is_the_mean_of_its_snapshots(replicas, start, period):
    points, average = follow(
        replicas, lambda variables: StochasticWeightAverage(variables, start, period)
    )

    for count, point in enumerate(points, start=1):
        snapshots = PATH[start:count:period]
        if len(snapshots):
            np.testing.assert_allclose(point, snapshots.mean(axis=0), rtol=1e-5, atol=1e-6)
    assert average.snapshots.numpy() == len(PATH[start::period])


@pytest.mark.parametrize("replicas", [1, 2])
def test_assigning_gives_every_replica_the_average(replicas):
    points, average = follow(replicas, lambda variables: StochasticWeightAverage(variables, 0, 2))
    with strategy_of(replicas).scope():
        target = keras.Variable(np.zeros(3, np.float32))
    average.assign_to([target])

    for copy in strategy_of(replicas).experimental_local_results(target.value):
        np.testing.assert_array_equal(copy.numpy(), points[-1])


def test_an_average_without_a_snapshot_is_not_assigned():
    _, average = follow(1, lambda variables: StochasticWeightAverage(variables, 9, 2))
    target = keras.Variable(np.ones(3, np.float32))

    with pytest.raises(ValueError, match="no snapshot: expected more than start_step=9"):
        average.assign_to([target])
    np.testing.assert_array_equal(target.numpy(), 1.0)


def test_weights_of_other_shapes_are_refused():
    _, average = follow(1, lambda variables: ExponentialMovingAverage(variables, 0.9))

    with pytest.raises(ValueError, match=r"expected shapes \[\(3,\)\], received \[\(2,\)\]"):
        average.assign_to([keras.Variable(np.ones(2, np.float32))])


@pytest.mark.parametrize("replicas", [1, 2])
def test_an_average_goes_on_from_its_checkpoint(tmp_path, replicas):
    def build(variables):
        return StochasticWeightAverage(variables, 1, 2)

    _, average = follow(replicas, build)
    path = tf.train.Checkpoint(average=average).write(str(tmp_path / "state"))
    _, other = follow(replicas, build, PATH[:1])
    tf.train.Checkpoint(average=other).read(path).assert_existing_objects_matched()

    assert other.snapshots.numpy() == average.snapshots.numpy() == 4
    for copy in strategy_of(replicas).experimental_local_results(other.averages[0].value):
        np.testing.assert_array_equal(copy.numpy(), average.averages[0].numpy())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ExponentialMovingAverage([], 1.0), r"decay must be .* received 1\.0"),
        (lambda: StochasticWeightAverage([], -1), "start_step must be at least 0, received -1"),
        (lambda: StochasticWeightAverage([], 0, 0), "period must be at least 1, received 0"),
    ],
)
def test_impossible_averages_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def network(*, synchronized=True, trainable=True):
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.BatchNormalization(synchronized=synchronized)]
    )
    inner.layers[0].trainable = trainable
    return keras.Sequential([keras.Input((4,)), inner, keras.layers.Dropout(0.5, seed=3)])


BATCHES = np.random.default_rng(2).normal(2.0, 3.0, (5, 6, 4)).astype(np.float32)


@pytest.mark.parametrize("replicas", [1, 2])
def test_statistics_become_the_means_over_batches(replicas):
    with strategy_of(replicas).scope():
        model = network()
    layer = model.layers[0].layers[0]
    others = [variable for variable in model.variables if "moving" not in variable.path]
    before = [variable.numpy() for variable in others]
    assert any("seed" in variable.path for variable in others), "dropout has a state to keep"
    reestimate_batch_norm(model, list(BATCHES))

    for mean in strategy_of(replicas).experimental_local_results(layer.moving_mean.value):
        np.testing.assert_allclose(mean.numpy(), BATCHES.mean(axis=(0, 1)), rtol=1e-5)
    variance = BATCHES.var(axis=1).mean(axis=0)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-5)
    assert layer.momentum == 0.99
    for variable, value in zip(others, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_estimating_twice_gives_the_same():
    model = network()
    layer = model.layers[0].layers[0]
    reestimate_batch_norm(model, list(BATCHES))
    first = layer.moving_variance.numpy()
    reestimate_batch_norm(model, list(BATCHES))

    np.testing.assert_array_equal(layer.moving_variance.numpy(), first)


def test_a_second_layer_sees_what_the_first_makes_of_each_batch():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.BatchNormalization(), keras.layers.BatchNormalization()]
    )
    reestimate_batch_norm(model, list(BATCHES))
    normalised = [(b - b.mean(0)) / np.sqrt(b.var(0) + 1e-3) for b in BATCHES.astype(np.float64)]

    np.testing.assert_allclose(model.layers[1].moving_mean.numpy(), 0.0, atol=1e-5)
    np.testing.assert_allclose(
        model.layers[1].moving_variance.numpy(), np.var(normalised, axis=1).mean(axis=0), rtol=1e-4
    )


def test_frozen_layers_keep_their_statistics():
    model = network(trainable=False)
    reestimate_batch_norm(model, list(BATCHES))

    np.testing.assert_array_equal(model.layers[0].layers[0].moving_mean.numpy(), 0.0)


def test_a_network_without_batch_normalisation_reads_no_batch():
    reestimate_batch_norm(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), iter(()))


def test_no_batch_is_refused_and_changes_nothing():
    model = network()
    with pytest.raises(ValueError, match="at least one batch, received none"):
        reestimate_batch_norm(model, [])
    assert model.layers[0].layers[0].momentum == 0.99
    np.testing.assert_array_equal(model.layers[0].layers[0].moving_variance.numpy(), 1.0)


def test_networks_have_their_averages_for_a_while_and_then_what_they_had():
    encoder = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
    )
    variables = encoder.trainable_variables
    average = StochasticWeightAverage(variables, start_step=0, period=1)
    trained = [value.copy() for value in encoder.get_weights()]
    inputs = tf.constant(np.random.default_rng(1).normal(size=(8, 2)), tf.float32)

    def estimate():
        reestimate_batch_norm(encoder, [inputs])

    with averaged(average, variables, encoder, estimate):
        for one, other in zip(encoder.get_weights(), trained, strict=True):
            np.testing.assert_array_equal(one, other, "there is no snapshot yet")
    average.update(tf.constant(1, tf.int64))
    encoder.layers[0].kernel.assign(np.ones((2, 2)))
    now = [value.copy() for value in encoder.get_weights()]

    with averaged(average, variables, encoder, estimate):
        np.testing.assert_array_equal(encoder.layers[0].kernel, trained[0])
        mean = tf.reduce_mean(inputs @ encoder.layers[0].kernel, axis=0)
        np.testing.assert_allclose(encoder.layers[1].moving_mean, mean, rtol=1e-5, atol=1e-6)
    for one, other in zip(encoder.get_weights(), now, strict=True):
        np.testing.assert_array_equal(one, other)
