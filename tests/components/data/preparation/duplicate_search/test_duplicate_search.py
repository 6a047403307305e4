"""Many workers find the same duplicates as one that looks at all images at once."""

import itertools
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.components.data.drawn_hashes import drawn_hashes
from twofold.components import files
from twofold.components.data.preparation.duplicate_search.collapse_equal import (
    collapse_bucket,
    cut_parts,
    spread_images,
)
from twofold.components.data.preparation.duplicate_search.compare_bands import compare_bucket
from twofold.components.data.preparation.duplicate_search.join_clusters import (
    comparisons,
    join_clusters,
)
from twofold.components.data.preparation.duplicate_search.search_area import (
    SearchSizes,
    bucket_of,
)
from twofold.components.data.preparation.staging_area import StagingArea
from twofold.components.data.rules.duplicates import find_duplicates
from twofold.components.data.rules.prepare_settings import DuplicateRules, PrepareSettings
from twofold.components.data.sources import build_source

FOLDERS = itertools.count()


def staged(parts, bits):
    """A staging area with parts of what a search reads: digests, hashes, details, held out."""
    search = "exact" if bits is None else "near"
    staging = StagingArea(
        f"memory://searches/{next(FOLDERS)}",
        build_source("dsprites", images=5),
        PrepareSettings(duplicates=DuplicateRules(search=search, bits=bits or 0)),
    )
    for name, (sort_keys, digests, hashes, details, held_out) in parts.items():
        # A part's rows are those of one split after those of another.
        order = np.argsort(held_out, kind="stable")
        columns = {
            "sort_key": pa.array(
                [key.astype(">u8").tobytes() for key in sort_keys[order]], pa.binary(16)
            ),
            "pixel_digest": pa.array([each.tobytes() for each in digests[order]], pa.binary(16)),
            "perceptual_hash": pa.array(hashes[order]),
            "detail_hash": pa.array(details[order]),
        }
        split = int((~held_out).sum())
        spans = {"test": [split, len(order)], "train": [0, split]}
        batch = pa.record_batch(columns).replace_schema_metadata({"spans": json.dumps(spans)})
        with (
            files.new_file(staging.path("parts", f"{name}.arrow")) as file,
            pa.ipc.new_file(file, batch.schema) as writer,
        ):
            writer.write_batch(batch)
    return staging


def grouped(pairs, order):
    """What an engine makes of pairs: groups in any order, of which some come twice."""
    groups = defaultdict(list)
    pairs = list(pairs)
    for key, value in order.sample(pairs, len(pairs)) + pairs[::3]:
        groups[key].append(value)
    return order.sample(list(groups.items()), len(groups))


def searched(staging, parts, sizes, order):
    """What the stages find, in a row."""
    found: list[Any] = list(cut_parts(("parts", parts), parts, sizes))
    stages: list[Callable[[Any], Iterator[Any]]] = [
        lambda group: spread_images(group, staging, parts, sizes),
        lambda group: collapse_bucket(group, staging, sizes),
        lambda group: compare_bucket(group, staging, sizes),
    ]
    for stage in stages:
        # A stage that is repeated gives the same.
        found = [pair for group in grouped(found, order) for _ in range(2) for pair in stage(group)]
    assert {key for key, _ in found} == {"done"}
    return join_clusters(staging, sizes)


@st.composite
def images(draw):
    hashes, details = draw(drawn_hashes(30))
    count = len(hashes)
    digests = draw(arrays(np.uint64, (count, 2), elements=st.integers(0, 2)))
    held_out = draw(arrays(np.bool_, count))
    highs = draw(arrays(np.uint64, count, elements=st.integers(0, 3)))
    lows = np.array(draw(st.permutations(range(count))), np.uint64)
    return np.stack([highs, lows], axis=1), digests, hashes, details, held_out


def cut(columns, count):
    """The images in so many parts."""
    pieces = zip(*(np.array_split(column, count) for column in columns), strict=True)
    return {f"{number:06d}": piece for number, piece in enumerate(pieces)}


def assert_found_alike(columns, bits, parts, sizes, order):
    pieces = cut(columns, parts)
    staging = staged(pieces, bits)
    rows = np.lexsort((columns[0][:, 1], columns[0][:, 0]))
    sort_keys, digests, hashes, details, held_out = (column[rows] for column in columns)
    found = searched(staging, tuple(pieces), sizes, order).among(sort_keys)
    expected = find_duplicates(digests, hashes, held_out, hashes != 0, bits=bits, details=details)
    np.testing.assert_array_equal(found.exact, expected.exact)
    np.testing.assert_array_equal(found.near, expected.near)
    np.testing.assert_array_equal(found.leaked, expected.leaked)
    return staging, expected


@settings(max_examples=40)
@given(
    images(),
    st.sampled_from([None, 0, 1, 2, 4, 6]),
    st.integers(1, 4),
    st.builds(
        SearchSizes, folder=st.just("search"), parts=st.integers(1, 3), buckets=st.integers(1, 4)
    ),
    st.randoms(use_true_random=False),
)
def test_many_workers_find_what_one_finds(columns, bits, parts, sizes, order):
    assert_found_alike(columns, bits, parts, sizes, order)


def test_among_many_images_with_many_equal_hashes_the_same_is_found():
    rng = np.random.default_rng(0)
    count = 4000
    hashes = rng.integers(1, 2**64, count, dtype=np.uint64)
    hashes[:1500] = hashes[0]
    near = rng.integers(0, count, 800)
    hashes[-800:] = hashes[near] ^ (np.uint64(7) << rng.integers(0, 60, 800, dtype=np.uint64))
    hashes[1500:1600] = 0
    details = np.where(hashes == hashes[0], 5, rng.integers(0, 2**16, count)).astype(np.uint64)
    columns = (
        rng.integers(0, 2**64, (count, 2), dtype=np.uint64),
        rng.integers(0, 3000, (count, 1), dtype=np.uint64).repeat(2, axis=1),
        hashes,
        details,
        rng.random(count) < 0.2,
    )
    sizes = SearchSizes("search", 2, 3)
    staging, expected = assert_found_alike(columns, 6, 7, sizes, random.Random(0))
    assert expected.leaked.sum() > 500
    # Some 2,500 hashes are left, of which each bucket has each once.
    assert comparisons(staging, sizes) < 7 * 2500**2 / 2


def test_equal_values_share_a_bucket_and_buckets_fill_alike():
    values = np.random.default_rng(0).integers(0, 2**9, 100_000).astype(np.uint64) << np.uint64(55)
    counts = np.bincount(bucket_of(values, 7), minlength=7)
    assert counts.min() > 100_000 / 7 * 0.7
    np.testing.assert_array_equal(
        bucket_of(np.stack([values, values], axis=1), 7),
        bucket_of(np.stack([values, values], axis=1)[::-1], 7)[::-1],
    )


@pytest.mark.parametrize("parts", [1, 5])
def test_nothing_at_all_is_searched_to_the_end(parts):
    columns = tuple(
        np.empty(shape, kind)
        for shape, kind in (((0, 2), np.uint64),) * 2 + (((0,), np.uint64),) * 2 + (((0,), bool),)
    )
    assert_found_alike(columns, 6, parts, SearchSizes("search", 2, 2), random.Random(0))
