"""Last members of a .tar that was appended to: of each name the file that replaces others."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from twofold.components.data.sources.access.archives import FileContainer, Look, Member
from twofold.components.data.sources.access.spooled_listing import Entry


@dataclass(frozen=True)
class LastMembers:
    """An archive without the files that a later one of the same name replaces when it is unpacked.

    It is listed three times; in memory are eight bytes a file, and the names that are repeated.

    Args:
        archive: in which names may be repeated.

    """

    archive: FileContainer

    @property
    def path(self) -> str:
        """Where it lies."""
        return self.archive.path

    def members(self, look: Look) -> Iterator[Member]:
        """Every file but those that are replaced."""
        hashes = np.frombuffer(array("q", map(hash, self._names())), np.int64)
        values, counts = np.unique(hashes, return_counts=True)
        suspects = set(values[counts > 1].tolist())
        # Names may share a hash.
        left = Counter(name for name in self._names() if hash(name) in suspects)
        for member in self.archive.members(look):
            if member.name in left:
                left[member.name] -= 1
                if left[member.name]:
                    continue
            yield member

    def _names(self) -> Iterator[str]:
        return (member.name for member in self.archive.members(lambda name: False))

    def read(self, entries: Sequence[Entry]) -> Iterator[bytes | Exception]:
        """The bytes of each entry, as its archive has them."""
        return self.archive.read(entries)
