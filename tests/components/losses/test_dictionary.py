"""What the nearest atoms leave of patches, with unused atoms drawn to patches."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.components.losses.replicated import add_up
from twofold.components.losses.dictionary import dictionary_loss


def unit(columns):
    return columns / np.linalg.norm(columns, axis=0)


def in_plain_numpy(patches, atoms):
    """The loss, a patch at a time, and the share of atoms in use."""
    left, chosen = [], set()
    for patch in patches:
        by_atom = [patch - (atom @ patch) * atom for atom in atoms.T]
        nearest = int(np.argmin([np.sum(one**2) for one in by_atom]))
        chosen.add(nearest)
        left.append(np.mean(by_atom[nearest] ** 2))
    lengths = np.linalg.norm(patches, axis=1)
    drawn = [
        0.0 if index in chosen else np.max((patches @ atom / lengths) ** 2)
        for index, atom in enumerate(atoms.T)
    ]
    return np.mean(left) - np.mean(drawn), len(chosen) / atoms.shape[1]


@given(
    patches=st.integers(1, 8),
    width=st.integers(1, 5),
    atoms=st.integers(1, 9),
    seed=st.integers(0, 1_000),
)
@settings(max_examples=40, deadline=None)
def test_equals_the_formula_in_plain_numpy(patches, width, atoms, seed):
    random = np.random.default_rng(seed)
    drawn = random.normal(size=(patches, width))
    directions = unit(random.normal(size=(width, atoms)))

    found = dictionary_loss(tf.constant(drawn), tf.constant(directions))

    np.testing.assert_allclose(found, in_plain_numpy(drawn, directions), rtol=1e-9, atol=1e-12)


def test_a_case_by_hand():
    # Of (3, 4) the first atom leaves 4^2 and the second 3^2; of (0, 2) the second leaves nothing.
    patches = tf.constant([[3.0, 4.0], [0.0, 2.0]])

    loss, used = dictionary_loss(patches, tf.constant([[1.0, 0.0], [0.0, 1.0]]))

    # The first atom is not in use, and (3, 4) is most like it: cos^2 is 9 / 25.
    assert float(loss) == pytest.approx((9 / 2 + 0) / 2 - (9 / 25 + 0) / 2)
    assert float(used) == 0.5


def test_an_unused_atom_goes_to_the_patch_that_is_most_like_it():
    patches = tf.constant([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    atoms = tf.constant(unit(np.array([[1.0, 0, 0.3], [0, 1, 0.2], [0, 0, 1]])))

    with tf.GradientTape() as tape:
        tape.watch(atoms)
        loss, _ = dictionary_loss(patches, tf.math.l2_normalize(atoms, axis=0))
    slope = tape.gradient(loss, atoms).numpy()

    np.testing.assert_allclose(slope[:, :2], 0, atol=1e-6)
    # Downhill is towards the first patch.
    assert slope[0, 2] < 0
    assert slope[2, 2] > 0


def test_patches_without_contrast_leave_nothing_and_draw_nothing():
    loss, used = dictionary_loss(tf.zeros([4, 3]), tf.eye(3))
    assert float(loss) == 0
    assert 0 <= float(used) <= 1


@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_add_up_to_the_whole_batch(replicas):
    random = np.random.default_rng(0)
    directions = tf.constant(unit(random.normal(size=(5, 12))))
    patches = random.normal(size=(8, 5))

    shares, gradients = add_up(
        lambda local: dictionary_loss(local, directions), [patches], replicas
    )

    whole, slopes = add_up(lambda local: dictionary_loss(local, directions), [patches], 1)
    np.testing.assert_allclose(shares, whole, rtol=1e-12)
    np.testing.assert_allclose(gradients[0], slopes[0], rtol=1e-9, atol=1e-12)
