"""Process-wide cache: what a process makes once for all copies of a source."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

Value = TypeVar("Value")


class Shared(Generic[Value]):
    """Values by key, each kept for as long as some source holds it; usable from several threads.

    Runners pickle a source again for every bundle of work, and a listing or an array is too heavy
    to travel with it. So a source leaves such a value out of its pickle, and its copies in one
    process find the same one here. Keys hold the content's fingerprint, so that a file replaced on
    disk is not confused with the one read before.
    """

    def __init__(self) -> None:
        self._values: WeakValueDictionary[Hashable, Value] = WeakValueDictionary()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value under this key, made where no source of this process holds it."""
        with self._lock:
            value = self._values.get(key)
            if value is None:
                value = self._values[key] = make()
            return value
