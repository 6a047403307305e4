import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from twofold.components import keyed_random

IMAGES = 20_000
EXECUTIONS = {
    "graph": tf.function,
    "xla": functools.partial(tf.function, jit_compile=True),
}


def keys_of(key_hashes, *, seed=7, step=3):
    return keyed_random.image_keys(
        seed, tf.constant(step, tf.int64), tf.constant(key_hashes, tf.int64)
    )


def first_number(key_hashes, *, seed=7, step=3, view=0):
    keys = keyed_random.fold_in(keys_of(key_hashes, seed=seed, step=step), view)
    return keyed_random.uniform(keys, 1).numpy()[:, 0]


def murmur3_finaliser(value):
    value ^= value >> 16
    value = value * 0x85EBCA6B % 2**32
    value ^= value >> 13
    value = value * 0xC2B2AE35 % 2**32
    return value ^ value >> 16


@given(key=st.integers(0, 2**32 - 1), data=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_folding_in_is_the_chained_finaliser_of_murmurhash3(key, data):
    folded = keyed_random.fold_in(tf.constant([key], tf.uint32), data).numpy()[0]

    mixed = murmur3_finaliser((key + 0x9E3779B9) % 2**32) ^ (3 * data + 1) % 2**32
    assert folded == murmur3_finaliser(mixed)


def test_one_key_gives_another_key_for_every_number():
    numbers = tf.cast(tf.range(100_000), tf.uint32)

    folded = keyed_random.fold_in(tf.constant(5, tf.uint32), numbers).numpy()

    assert len(np.unique(folded)) == 100_000


@pytest.mark.parametrize("column", range(4))
def test_every_number_of_an_image_is_uniform_over_the_images(column):
    numbers = keyed_random.uniform(keys_of(np.arange(IMAGES)), 4).numpy()[:, column]

    assert stats.kstest(numbers, "uniform").pvalue > 1e-3


def test_the_numbers_of_one_image_are_uniform_over_the_steps():
    draw = tf.function(
        lambda step: keyed_random.uniform(
            keyed_random.image_keys(7, step, tf.constant([17], tf.int64)), 1
        )[0, 0]
    )
    numbers = [draw(tf.constant(step, tf.int64)).numpy() for step in range(1_000)]

    assert stats.kstest(numbers, "uniform").pvalue > 1e-3


NEIGHBOURS = {
    "key_hashes": lambda rows: (first_number(rows), first_number(rows + 1)),
    "key_hashes 2**32 apart": lambda rows: (first_number(rows), first_number(rows + 2**32)),
    "steps": lambda rows: (first_number(rows), first_number(rows, step=4)),
    "seeds": lambda rows: (first_number(rows), first_number(rows, seed=8)),
    "views": lambda rows: (first_number(rows), first_number(rows, view=1)),
    "counters": lambda rows: keyed_random.uniform(keys_of(rows), 2).numpy().T,
    "seed and step exchanged": lambda rows: (
        first_number(rows, seed=1, step=2),
        first_number(rows, seed=2, step=1),
    ),
}


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_neighbours_are_independent(neighbour):
    one, other = NEIGHBOURS[neighbour](np.arange(IMAGES))

    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(IMAGES)
    pairs, _, _ = np.histogram2d(one, other, bins=10, range=[[0, 1], [0, 1]])
    assert stats.chisquare(pairs.ravel()).pvalue > 1e-3


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.3, 0.71), (1.0, 2.0)])
def test_the_bits_are_the_same_eagerly_and_compiled(execution, low, high):
    def draw(step, key_hashes):
        keys = keyed_random.image_keys(2**32 - 1, step, key_hashes)
        return keyed_random.uniform(keys, 4, low, high)

    step = tf.constant(2**31, tf.int64)
    key_hashes = tf.constant(np.random.default_rng(0).integers(0, 2**63, 5_000), tf.int64)

    compiled = EXECUTIONS[execution](draw)(step, key_hashes)

    np.testing.assert_array_equal(compiled.numpy(), draw(step, key_hashes).numpy())


@given(
    key_hashes=st.lists(st.integers(0, 2**63 - 1), min_size=2, max_size=9, unique=True),
    data=st.data(),
)
@settings(deadline=None, max_examples=30)
def test_the_numbers_belong_to_the_image_and_not_to_its_row(key_hashes, data):
    numbers = keyed_random.uniform(keys_of(key_hashes), 3).numpy()
    order = data.draw(st.permutations(range(len(key_hashes))))
    cut = data.draw(st.integers(1, len(key_hashes) - 1))

    permuted = keyed_random.uniform(keys_of([key_hashes[row] for row in order]), 3).numpy()
    np.testing.assert_array_equal(permuted, numbers[order])
    parts = [
        keyed_random.uniform(keys_of(part), 3) for part in (key_hashes[:cut], key_hashes[cut:])
    ]
    np.testing.assert_array_equal(tf.concat(parts, axis=0).numpy(), numbers)


@given(
    low=st.integers(-1_000, 1_000).map(lambda number: number / 7),
    width=st.integers(1, 1_000).map(lambda number: number / 9),
    bits=st.sampled_from([0, 2**32 - 1]),
)
@settings(deadline=None, max_examples=50)
def test_the_extreme_hashes_stay_in_the_half_open_range(low, width, bits):
    low, high = float(np.float32(low)), float(np.float32(low + width))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            keyed_random,
            "fold_in",
            lambda keys, data: tf.fill((1, 1), tf.constant(bits, tf.uint32)),
        )
        number = keyed_random.uniform(tf.constant([0], tf.uint32), 1, low, high).numpy()[0, 0]

    assert low <= number < high
    if bits == 0:
        assert number == low
