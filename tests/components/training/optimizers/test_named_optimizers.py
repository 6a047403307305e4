"""Each optimizer takes the steps of its paper, on any number of replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.strategies import strategy_of
from twofold.components.training.optimizers.exclusion import Exclusion
from twofold.components.training.optimizers.named_optimizers import OPTIMIZERS, build_optimizer
from twofold.components.training.optimizers.schedules import build_schedule

RATE, DECAY, STEPS = 0.1, 0.3, 4
GRADIENTS = np.random.default_rng(0).normal(size=(STEPS, 3, 2))
START = np.random.default_rng(1).normal(size=(3, 2))


def named_variables():
    """Gives a kernel, a bias, and a scale whose layer alone tells that it is a normalisation's."""
    with keras.name_scope("dense"):
        kernel = keras.Variable(START, dtype="float64", name="kernel")
        bias = keras.Variable(START[0], dtype="float64", name="bias")
    with keras.name_scope("batch_normalization"):
        scale = keras.Variable(START, dtype="float64", name="gamma")
    return [kernel, bias, scale]


def trained(optimizer, steps=STEPS):
    variables = named_variables()
    for gradient in GRADIENTS[:steps]:
        optimizer.apply(
            [tf.constant(gradient), tf.constant(gradient[0]), tf.constant(gradient)], variables
        )
    return [variable.numpy() for variable in variables]


def sgd(start, gradients, decay=0.0, momentum=0.9, ratio=lambda weight, gradient: 1.0):
    weight, velocity = start.copy(), np.zeros_like(start)
    for gradient in gradients:
        step = ratio(weight, gradient) * (gradient + decay * weight)
        velocity = momentum * velocity - RATE * step
        weight += velocity
    return weight


def lars_ratio(weight, gradient):
    norm = np.linalg.norm(weight)
    return 0.02 * norm / (np.linalg.norm(gradient) + DECAY * norm + 1e-8)


def adamw(start, gradients, decay):
    weight, first, second = start.copy(), 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        weight -= RATE * decay * weight
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        rate = RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weight -= rate * first / (np.sqrt(second) + 1e-8)
    return weight


def lamb(start, gradients, decay, adapted):
    weight, first, second = start.copy(), 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        update = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-6)
        update = update + decay * weight
        ratio = np.linalg.norm(weight) / np.linalg.norm(update) if adapted else 1.0
        weight -= RATE * ratio * update
    return weight


def paths_of_the_paper(name, included):
    """Returns the weights that the formula gives, for a weight that is excluded or not."""
    decay = DECAY if included else 0.0
    return {
        "sgd": lambda start, gradients: sgd(start, gradients, decay),
        "adamw": lambda start, gradients: adamw(start, gradients, decay),
        "lars": lambda start, gradients: sgd(
            start, gradients, decay, ratio=lars_ratio if included else lambda *_: 1.0
        ),
        "lamb": lambda start, gradients: lamb(start, gradients, decay, included),
    }[name]


# Keras rounds the learning rate and Adam's betas to single precision.
RTOL = 2e-5


@pytest.mark.parametrize("name", ["sgd", "adamw", "lars", "lamb"])
def test_excluded_weights_are_neither_decayed_nor_adapted(name):
    optimizer = build_optimizer(
        name, learning_rate=RATE, weight_decay=DECAY, trust_coefficient=0.02
    )
    kernel, bias, scale = trained(optimizer)

    included, excluded = paths_of_the_paper(name, True), paths_of_the_paper(name, False)
    np.testing.assert_allclose(kernel, included(START, GRADIENTS), rtol=RTOL)
    np.testing.assert_allclose(bias, excluded(START[0], GRADIENTS[:, 0]), rtol=RTOL)
    np.testing.assert_allclose(scale, excluded(START, GRADIENTS), rtol=RTOL)


@pytest.mark.parametrize("name", ["sgd", "adamw", "lars", "lamb"])
def test_nothing_is_excluded_without_a_pattern(name):
    optimizer = build_optimizer(
        name, learning_rate=RATE, weight_decay=DECAY, trust_coefficient=0.02, exclude=()
    )
    kernel, bias, scale = trained(optimizer)

    included = paths_of_the_paper(name, True)
    np.testing.assert_allclose(kernel, included(START, GRADIENTS), rtol=RTOL)
    np.testing.assert_allclose(bias, included(START[0], GRADIENTS[:, 0]), rtol=RTOL)
    np.testing.assert_allclose(scale, included(START, GRADIENTS), rtol=RTOL)


def test_steps_are_adams_in_the_papers_second_form():
    optimizer = build_optimizer("adam", learning_rate=RATE)
    variable = keras.Variable(np.zeros(2, np.float32))
    gradients = [np.array([3e-8, -2.0], np.float32), np.array([5e-8, 1.0], np.float32)]

    mean, square, expected = np.zeros(2), np.zeros(2), np.zeros(2)
    for step, gradient in enumerate(gradients, start=1):
        optimizer.apply([tf.constant(gradient)], [variable])
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient.astype(np.float64) ** 2
        rate = RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        expected -= rate * mean / (np.sqrt(square) + 1e-8)

    # A gradient near epsilon tells where in the formula epsilon stands, and how large it is.
    np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["lars", "lamb"])
def test_weights_of_zero_can_leave_zero(name):
    variable = keras.Variable(np.zeros((2, 2), np.float32), name="kernel")
    optimizer = build_optimizer(name, learning_rate=RATE)
    optimizer.apply([tf.ones((2, 2))], [variable])

    np.testing.assert_allclose(variable.numpy(), -RATE, rtol=1e-5)


@pytest.mark.parametrize("name", ["lars", "lamb"])
def test_a_layer_without_gradient_stays(name):
    variable = keras.Variable(np.ones((2, 2), np.float32), name="kernel")
    optimizer = build_optimizer(name, learning_rate=RATE)
    optimizer.apply([tf.zeros((2, 2))], [variable])

    np.testing.assert_array_equal(variable.numpy(), 1.0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replicas_take_the_step_of_one_device(name):
    expected = trained(one_for_replicas(name), steps=2)
    strategy = strategy_of(2)
    with strategy.scope():
        variables = named_variables()
        optimizer = one_for_replicas(name)
        optimizer.build(variables)

    @tf.function
    def step(gradient):
        def replica_step():
            # Shares that differ, so that it shows whether they are added up.
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            share = gradient * (0.25 + 0.5 * tf.cast(replica, tf.float64))
            optimizer.apply([share, share[0], share], variables)

        strategy.run(replica_step)

    for gradient in GRADIENTS[:2]:
        step(tf.constant(gradient))
    for variable, value in zip(variables, expected, strict=True):
        for copy in strategy.experimental_local_results(variable.value):
            np.testing.assert_allclose(copy.numpy(), value, rtol=0, atol=1e-12)


def one_for_replicas(name):
    return build_optimizer(
        name,
        learning_rate=build_schedule(RATE, warmup_steps=1),
        weight_decay=0.0 if name == "adam" else DECAY,
    )


def test_a_path_tells_what_a_name_does_not():
    kernel, bias, scale = named_variables()

    assert scale.name == "gamma"
    assert [Exclusion(("norm",)).covers(one) for one in (kernel, bias, scale)] == [0, 0, 1]
    assert [Exclusion((), vectors=True).covers(one) for one in (kernel, bias, scale)] == [0, 1, 0]
    assert not any(Exclusion().covers(one) for one in (kernel, bias, scale))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("adagrad", {}, "unknown optimizer 'adagrad': expected one of sgd, adam, adamw, lars"),
        ("adam", {"weight_decay": 0.1}, r"adam takes no weight decay.*0\.1; adamw"),
        ("adamw", {"weight_decay": -0.1}, r"weight_decay must be at least 0, received -0\.1"),
        ("sgd", {"epsilon": 1e-8}, "sgd has no epsilon"),
        ("lars", {"trust_coefficient": 0.0}, "trust_coefficient must be above 0"),
        ("lamb", {"exclude": ("(",)}, r"exclude holds '\(': expected a regular expression"),
    ],
)
def test_what_an_optimizer_does_not_take_is_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        build_optimizer(name, learning_rate=RATE, **arguments)
