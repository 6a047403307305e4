import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.components.data.drawn_hashes import drawn_hashes
from twofold.components.data.rules import near_hashes
from twofold.components.data.rules.near_hashes import (
    band_masks,
    expected_comparisons,
    masks_of,
    near_pairs,
)

ALL = 2**64 - 1


def test_bands_share_no_bit_and_leave_none_out():
    for bits in (0, 2, 6, 12):
        masks = band_masks(bits)
        assert len(masks) == bits + 1
        assert sum(masks) == ALL
        assert {mask.bit_count() for mask in masks} <= {64 // (bits + 1), 64 // (bits + 1) + 1}


@given(st.sampled_from([2, 4, 6]), st.integers(0, 4), st.data())
def test_whichever_bits_differ_one_mask_has_none_of_them(bits, equal, data):
    masks = masks_of(ALL, bits, equal)
    differing = data.draw(st.sets(st.integers(0, 63), max_size=bits))
    changed = sum(1 << place for place in differing)
    assert any(mask & changed == 0 for mask in masks)


def test_masks_are_as_many_and_as_long_as_the_formula_says():
    masks = masks_of(ALL, 6, 2)
    # Of 8 bands of 8 bits every 2.
    assert (len(masks), {mask.bit_count() for mask in masks}) == (28, {16})
    assert masks_of(ALL, 6, 0) == [0]
    # Of a million hashes, each is compared with those that agree in 16 bits, 28 times.
    assert expected_comparisons(2**20, 6, 2) == 28 * 2**20 / 2**16
    # Of a hundred million, in one of 7 bands of some 9 bits and by 2 of 8 bands of the others.
    assert expected_comparisons(1e8, 6, 2, agreeing=9) * 7 == pytest.approx(2760, rel=0.1)


@st.composite
def columns(draw):
    hashes, details = draw(drawn_hashes(24))
    return hashes, details if draw(st.booleans()) else None


@settings(max_examples=100)
@given(columns(), st.sampled_from([0, 2, 6, 12]), st.integers(0, 2), st.booleans())
def test_pairs_are_all_near_ones_by_however_many_bands(data, bits, equal, within_a_band):
    hashes, details = data
    agreeing = band_masks(bits)[bits // 2] if within_a_band else 0
    apart = np.bitwise_count(hashes[:, None] ^ hashes)
    near = apart <= bits
    if details is not None:
        near &= np.bitwise_count(details[:, None] ^ details) <= 16
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_hashes, "_COMPARED_AT_ONCE", 3)
        patch.setattr(near_hashes, "_FOUND_AT_ONCE", 2)
        patch.setattr(
            near_hashes, "_best_masks", lambda _, bits, mask: masks_of(ALL & ~mask, bits, equal)
        )
        pairs = [
            found.pairs
            for found in near_pairs(hashes, details, bits=bits, detail_bits=16, agreeing=agreeing)
        ]
    found = {tuple(sorted(pair)) for pair in np.concatenate(pairs, axis=1).T.tolist()}
    assert found <= {(a, b) for a, b in np.argwhere(near).tolist() if a < b}
    near &= (hashes[:, None] ^ hashes) & np.uint64(agreeing) == 0
    assert found >= {(a, b) for a, b in np.argwhere(near).tolist() if a < b}


@pytest.mark.parametrize(("count", "masks"), [(2_000, 7), (60_000, 28)])
def test_more_hashes_are_compared_by_more_bits(count, masks):
    hashes = np.random.default_rng(0).integers(0, 2**64, count, dtype=np.uint64)
    assert len(near_hashes._best_masks(hashes, 6, 0)) == masks
    equal = {7: 1, 28: 2}[masks]
    compared = sum(found.compared for found in near_pairs(hashes, None, bits=6, detail_bits=0))
    assert compared / count == pytest.approx(expected_comparisons(count, 6, equal), rel=0.1)
