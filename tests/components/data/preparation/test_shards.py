"""Shards are ranges of the order that depend on nothing but the images in them."""

import itertools

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from twofold.components.data.preparation.resolve import cut
from twofold.components.data.preparation.staging_area import ShardRange

# Many of them close together, so that halving goes deep.
words = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 63), st.integers(2**63, 2**63 + 63))
images = st.dictionaries(words, st.integers(1, 9), min_size=1, max_size=60)


def shards(sizes, most_images=5, most_bytes=20):
    firsts = np.array(sorted(sizes), np.uint64)
    ordered = np.array([sizes[int(first)] for first in firsts], np.int64)
    return list(cut("train", firsts, ordered, most_images, most_bytes))


def held(shard, sizes):
    low, high = shard.bounds()
    return [size for first, size in sizes.items() if low <= first < high]


@given(images)
def test_every_image_is_in_one_shard_and_shards_are_in_order(sizes):
    found = shards(sizes)
    bounds = [shard.bounds() for shard in found]
    assert all(low < high for low, high in bounds)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(bounds))
    assert [len(held(shard, sizes)) for shard in found] == [shard.images for shard in found]
    assert sum(shard.images for shard in found) == len(sizes)
    assert sorted(shard.name for shard in found) == [shard.name for shard in found]


@given(images)
def test_no_shard_has_more_than_it_may_but_for_one_large_image(sizes):
    for shard in shards(sizes):
        inside = held(shard, sizes)
        assert len(inside) <= 5
        assert sum(inside) <= 20 or len(inside) == 1


@given(images, words, st.integers(1, 9))
def test_one_image_more_touches_only_the_shard_that_it_falls_into(sizes, word, size):
    assume(word not in sizes)
    before, after = shards(sizes), shards({**sizes, word: size})
    changed = [shard for shard in before if shard not in after]
    assert len(changed) <= 1
    for shard in changed:
        low, high = shard.bounds()
        assert low <= word < high


def test_eight_images_spread_evenly_are_halved_until_two_are_left():
    sizes = {number << 61: 1 for number in range(8)}
    assert shards(sizes, most_images=2) == [
        ShardRange("train", bits, 2) for bits in ("00", "01", "10", "11")
    ]
    assert ShardRange("train", "10", 2).bounds() == (2**63, 2**63 + 2**62)
    assert ShardRange("train", "", 2).bounds() == (0, 2**64)
