"""What every loss promises: shares that add up, float32 or wider, finite gradients, one value."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.components.losses.replicated import add_up
from twofold.components import distribute
from twofold.components.losses import (
    coding_rate,
    contrastive,
    distillation,
    elbo,
    redundancy,
    regression,
)

IMAGES, WIDTH = 8, 6
RANDOM = np.random.default_rng(0)
PROJECTIONS = RANDOM.normal(size=(2, IMAGES, WIDTH))
QUEUE = RANDOM.normal(size=(20, WIDTH))
QUEUE /= np.linalg.norm(QUEUE, axis=1, keepdims=True)
KEYS = RANDOM.integers(0, 2**32, IMAGES, dtype=np.uint32)
# One replica of four has no label at all.
LABELS = np.array([3, -1, 0, 5, -1, -1, 2, 2], np.int32)
PIXELS = RANDOM.uniform(size=(IMAGES, 2, 3, 1))


def over_the_batch(loss):
    """Hands a loss local rows and gathered columns, as a method does."""

    def of_replica(first, second, *more):
        views = tf.stack([first, second])
        start = distribute.first_row(tf.shape(first)[0])
        return loss(views, distribute.gather(views, axis=1), start, 0.2, *more)

    return of_replica


@over_the_batch
def few_negatives_of_constant_keys(views, all_views, start, temperature):
    keys = tf.constant(KEYS)[start : start + tf.shape(views)[1]]
    return contrastive.few_negatives(views, all_views, start, temperature, 3, keys)


def coding_rate_of_two_patches(first, second):
    return coding_rate.coding_rate_of_patches(tf.stack([first, second]))


def reconstruction(logits, images):
    return elbo.reconstruction(logits, tf.stop_gradient(images))


LOSSES = {
    "nt_xent": (over_the_batch(contrastive.nt_xent), PROJECTIONS),
    "cross_view": (over_the_batch(contrastive.cross_view), PROJECTIONS),
    "few_negatives": (few_negatives_of_constant_keys, PROJECTIONS),
    "nnclr": (
        lambda first, second: contrastive.nnclr(first, second, tf.constant(QUEUE), 0.2),
        PROJECTIONS,
    ),
    "info_nce_queue": (
        lambda first, second: contrastive.info_nce_queue(first, second, tf.constant(QUEUE), 0.2),
        PROJECTIONS,
    ),
    "barlow_twins": (redundancy.barlow_twins, PROJECTIONS),
    "vicreg": (redundancy.vicreg, PROJECTIONS * 0.7),
    "coding_rate_of_patches": (coding_rate_of_two_patches, PROJECTIONS),
    "byol": (regression.byol, PROJECTIONS),
    "simsiam": (regression.simsiam, PROJECTIONS),
    "consistency": (functools.partial(distillation.consistency, temperature=3.0), PROJECTIONS),
    "weighted consistency": (
        lambda student, teacher: distillation.consistency(
            student, teacher, 3.0, weights=distillation.confident(teacher, 0.5)
        ),
        PROJECTIONS,
    ),
    "cross_entropy": (distillation.cross_entropy, (PROJECTIONS[0], LABELS)),
    "reconstruction": (reconstruction, (RANDOM.normal(size=PIXELS.shape), PIXELS)),
    "kl_to_standard_normal": (elbo.kl_to_standard_normal, PROJECTIONS),
    "sampled code": (
        lambda mean, log_variance, keys: tf.reduce_sum(
            tf.square(elbo.sample_gaussian(mean, log_variance, keys))
        ),
        (*PROJECTIONS, KEYS),
    ),
}
# What goes wrong on two replicas goes wrong on four as well, whose graphs take long to trace.
REPLICAS = pytest.mark.parametrize("replicas", [pytest.param(2, marks=pytest.mark.long), 4])
AS_ONE_LOSS = pytest.mark.parametrize(("loss", "arrays"), LOSSES.values(), ids=LOSSES.keys())


def as_type(arrays, dtype):
    """Casts the float arrays, and leaves keys and labels as they are."""
    return [
        tf.cast(array, dtype) if np.asarray(array).dtype.kind == "f" else tf.constant(array)
        for array in arrays
    ]


def values_and_gradients(loss, tensors):
    watched = [tensor for tensor in tensors if tensor.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        values = loss(*tensors)
        values = values if isinstance(values, tuple) else (values,)
    return values, tape.gradient(values[0], watched, unconnected_gradients="zero")


@AS_ONE_LOSS
@REPLICAS
def test_the_shares_and_gradients_of_replicas_add_up_to_those_of_one_device(loss, arrays, replicas):
    shares, gradients = add_up(loss, arrays, replicas)

    values, expected = values_and_gradients(loss, as_type(arrays, tf.float64))
    np.testing.assert_allclose(shares, values, rtol=1e-9)
    for one, other in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)
    assert np.any(gradients[0])


@REPLICAS
def test_the_shares_of_the_correlation_accuracy_add_up(replicas):
    features = np.stack([PROJECTIONS[0], PROJECTIONS[0] + 0.8 * PROJECTIONS[1]])

    shares, _ = add_up(redundancy.correlation_accuracy, features, replicas)

    whole = redundancy.correlation_accuracy(*features).numpy()
    assert 0 < whole < 1
    np.testing.assert_allclose(shares, [whole], rtol=1e-12)


@AS_ONE_LOSS
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_is_computed_in_float32(loss, arrays, dtype):
    half = as_type(arrays, dtype)

    values, gradients = values_and_gradients(loss, half)

    assert {value.dtype for value in values} == {tf.float32}
    assert {gradient.dtype for gradient in gradients} == {dtype}
    wide, _ = values_and_gradients(
        loss, [tf.cast(one, tf.float64) if one.dtype == dtype else one for one in half]
    )
    np.testing.assert_allclose(values[0], wide[0], rtol=1e-5)


@AS_ONE_LOSS
def test_double_precision_stays(loss, arrays):
    values, _ = values_and_gradients(loss, as_type(arrays, tf.float64))

    assert {value.dtype for value in values} == {tf.float64}


AWKWARD = {
    "zeros": lambda array: np.zeros_like(array),
    "equal rows": lambda array: np.broadcast_to(array[:1], array.shape).copy(),
    "equal entries": lambda array: np.full_like(array, 0.1),
    "huge": lambda array: np.where(array > 0, 30.0, -30.0),
    "tiny": lambda array: 1e-20 * array,
}


@AS_ONE_LOSS
@pytest.mark.parametrize("change", AWKWARD.values(), ids=AWKWARD.keys())
def test_awkward_inputs_have_a_finite_loss_and_gradient(loss, arrays, change):
    changed = [change(array) if array.dtype.kind == "f" else array for array in arrays]

    values, gradients = values_and_gradients(loss, as_type(changed, tf.float32))

    for number in (*values, *gradients):
        assert np.all(np.isfinite(number))


@AS_ONE_LOSS
def test_compiled_by_xla_it_agrees_with_the_eager_result(loss, arrays):
    tensors = as_type(arrays, tf.float64)
    function = tf.function(lambda *tensors: values_and_gradients(loss, tensors), jit_compile=True)

    values, gradients = function(*tensors)

    expected_values, expected_gradients = values_and_gradients(loss, tensors)
    np.testing.assert_allclose(values, expected_values, rtol=1e-9)
    for one, other in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)
