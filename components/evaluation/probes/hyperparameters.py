"""Hyperparameter choice on a part of the training images, never on the held-out ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Setting = TypeVar("Setting", int, float)


def validation_rows(
    keys: NDArray[np.str_], labels: NDArray[np.integer], *, share: float = 0.2, seed: int = 0
) -> NDArray[np.bool_]:
    """Mark a part of each class that settings are chosen on.

    Of a class's n images, floor(share * n) and at least one, but none of a single image: those that
    come first in the order of a hash of (seed, key). So the choice depends on no row's position,
    and no class is left without an image to learn from.

    Args:
        keys: text [N], all different.
        labels: int [N].
        share: of each class, in (0, 1).
        seed: another one marks other images.

    Returns:
        bool [N].

    """
    ranks = np.array(
        [hashlib.sha256(f"validation:{seed}:{key}".encode()).digest() for key in keys.tolist()],
        "V32",
    ).view("S32")
    order = np.argsort(ranks, kind="stable")
    marked = np.zeros(len(keys), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        count = max(1, int(share * len(members))) if len(members) > 1 else 0
        marked[members[:count]] = True
    return marked


def best_setting(scores: Mapping[Setting, tuple[float, ...]]) -> Setting:
    """Give the setting of the highest score; of equal ones the smallest setting.

    Args:
        scores: for each setting, numbers of which the first decides, where equal the second, and
            so on; higher is better.

    """
    return max(sorted(scores), key=lambda setting: scores[setting])
