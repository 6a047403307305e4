"""Near images: the hashes of a bucket, which agree in a band, compared by one worker.

The pairs themselves are not kept, but what joins their clusters: fewer than there are hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from twofold.components.data.preparation.duplicate_search.search_area import (
    BANDED,
    DONE,
    Place,
    SearchArea,
    SearchSizes,
    holds,
)
from twofold.components.data.preparation.staging_area import StagingArea
from twofold.components.data.rules.duplicates import DETAIL_BITS
from twofold.components.data.rules.near_hashes import band_masks, link, near_pairs


def compare_bucket(
    grouped: tuple[str, Iterable[Place]], staging: StagingArea, sizes: SearchSizes
) -> Iterator[tuple[str, str]]:
    """Find what is near in a bucket; gives its name under the one key of all."""
    name, places = grouped
    area = SearchArea(staging, sizes.folder)
    if name != DONE and not area.is_done(name):
        rows = area.gather(places, BANDED)
        mask = band_masks(staging.settings.duplicates.bits)[int(name.split()[1])]
        joined, touched, compared = _compare(rows, mask, staging.settings.duplicates.bits)
        area.save(f"{name}.joined", joined)
        area.save(f"{name}.touched", touched)
        area.finish(name, {}, compared=compared, hashes=len(rows))
    yield DONE, name


def _compare(rows: np.ndarray, mask: int, bits: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Of rows, BANDED [N], what joins clusters, what is near a held-out one, and the comparisons.

    Returns:
        joined: numbers of two rows of one cluster each, uint64 [J, 2].
        touched: numbers, uint64 [T].
        compared: how many pairs were compared.

    """
    hashes, details = (np.ascontiguousarray(rows[name]) for name in ("hash", "detail"))
    held = holds(rows["number"])
    cluster, touched, compared = np.arange(len(rows)), np.zeros(len(rows), bool), 0
    for found in near_pairs(hashes, details, bits=bits, detail_bits=DETAIL_BITS, agreeing=mask):
        a, b = found.pairs
        touched[a[held[b]]] = True
        touched[b[held[a]]] = True
        link(cluster, a, b)
        compared += found.compared
    others = np.flatnonzero(cluster != np.arange(len(rows)))
    joined = np.stack([rows["number"][others], rows["number"][cluster[others]]], axis=1)
    return joined, rows["number"][touched], compared
