import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.components.losses.coding_rate import coding_rate_of_patches

AS_ANY_BATCH = given(
    patches=st.integers(1, 4),
    images=st.integers(1, 6),
    # Signs alone, of one unit, may have no mean at all.
    width=st.integers(2, 6),
    seed=st.integers(0, 1_000),
)


def projections(patches=3, images=5, width=4, seed=0):
    return np.random.default_rng(seed).normal(size=(patches, images, width))


def evaluate(array, *weights):
    loss, agreement = coding_rate_of_patches(tf.constant(array), *weights)
    return loss.numpy(), agreement.numpy()


def in_plain_numpy(array, invariance, squared_distortion):
    """The objective of Tong et al. (2023), to be made small; a patch, then an image, at a time."""
    unit = array / np.linalg.norm(array, axis=2, keepdims=True)
    patches, images, width = unit.shape
    rates, cosines = [], []
    for of_patch in unit:
        matrix = np.eye(width) + width / (images * squared_distortion) * of_patch.T @ of_patch
        rates.append(0.5 * np.linalg.slogdet(matrix)[1])
        for image, one in enumerate(of_patch):
            mean = unit[:, image].mean(axis=0)
            cosines.append(one @ mean / np.linalg.norm(mean))
    assert len(cosines) == patches * images
    agreement = np.mean(cosines)
    return -np.mean(rates) - invariance * agreement, agreement


@AS_ANY_BATCH
@settings(max_examples=40, deadline=None)
def test_equals_the_formula_in_plain_numpy(patches, images, width, seed):
    array = projections(patches, images, width, seed)

    found = evaluate(array, 3.0, 0.5)

    np.testing.assert_allclose(found, in_plain_numpy(array, 3.0, 0.5), rtol=1e-9)


def test_the_weights_are_the_papers():
    array = projections()

    np.testing.assert_allclose(evaluate(array), in_plain_numpy(array, 200.0, 0.2), rtol=1e-12)


@pytest.mark.parametrize(("images", "width"), [(4, 4), (3, 6), (1, 5)])
def test_orthogonal_images_of_one_patch_have_a_closed_form(images, width):
    axes = np.eye(width)[None, :images]

    loss, agreement = evaluate(axes, 200.0, 0.2)

    # One eigenvalue above 1 for each image; a patch by itself agrees with its mean.
    rate = images / 2 * math.log(1 + width / (images * 0.2))
    assert agreement == pytest.approx(1, rel=1e-12)
    assert loss == pytest.approx(-rate - 200, rel=1e-12)


def test_a_collapse_has_the_rate_of_one_direction():
    collapsed = np.broadcast_to([0.0, 2.0, 0.0], (2, 7, 3))

    loss, _ = evaluate(collapsed, 0.0, 0.2)

    assert loss == pytest.approx(-0.5 * math.log(1 + 3 / 0.2), rel=1e-12)
    assert loss > evaluate(projections(2, 7, 3), 0.0, 0.2)[0], "spread out costs less"


@pytest.mark.parametrize(
    ("patches", "expected"),
    [
        ([[1, 0], [0, 1]], math.sqrt(0.5)),
        # The mean points where two of three do.
        ([[1, 0], [1, 0], [-1, 0]], 1 / 3),
        ([[3, 0], [0.1, 0]], 1),
        # There is no mean direction to agree with.
        ([[1, 0], [-1, 0]], 0),
    ],
)
def test_agreement_is_the_mean_cosine_to_the_mean_of_an_images_patches(patches, expected):
    (one_image,) = np.array([patches], np.float64)

    loss, agreement = evaluate(one_image[:, None], 10.0, 0.2)

    assert agreement == pytest.approx(expected, abs=1e-12)
    assert loss + 10 * expected == pytest.approx(evaluate(one_image[:, None], 0.0, 0.2)[0])


@AS_ANY_BATCH
@settings(max_examples=20, deadline=None)
def test_the_order_of_patches_images_and_units_does_not_matter(patches, images, width, seed):
    array = projections(patches, images, width, seed)
    random = np.random.default_rng(seed)
    moved = array
    for axis in range(3):
        moved = np.take(moved, random.permutation(array.shape[axis]), axis)

    np.testing.assert_allclose(evaluate(moved), evaluate(array), rtol=1e-9)


def test_patches_of_another_image_are_told_apart():
    array = projections()
    swapped = array.copy()
    swapped[0, [0, 1]] = array[0, [1, 0]]

    # As many directions as before, but they agree less or more.
    assert evaluate(swapped, 0.0)[0] == pytest.approx(evaluate(array, 0.0)[0], rel=1e-12)
    assert evaluate(swapped)[1] != pytest.approx(evaluate(array)[1], rel=1e-3)


@AS_ANY_BATCH
@settings(max_examples=20, deadline=None)
def test_the_length_of_a_projection_does_not_matter(patches, images, width, seed):
    array = projections(patches, images, width, seed)
    lengths = np.random.default_rng(seed).uniform(0.01, 100, (patches, images, 1))

    np.testing.assert_allclose(evaluate(array * lengths), evaluate(array), rtol=1e-9)


@pytest.mark.parametrize(("images", "width"), [(3, 64), (64, 3)])
def test_single_precision_gives_the_value_and_a_finite_gradient(images, width):
    array = tf.constant(projections(4, images, width), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(array)
        loss, _ = coding_rate_of_patches(array)

    wide, _ = coding_rate_of_patches(tf.cast(array, tf.float64))
    assert loss.numpy() == pytest.approx(wide.numpy(), rel=1e-5)
    assert np.all(np.isfinite(tape.gradient(loss, array)))
