"""Lists of names for messages: the first ones, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence


def list_names(names: Sequence[str], most: int = 10) -> str:
    """Joins at most so many names by commas, as in "a, b and 1,234 more"."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
