"""Folder of a duplicate search in the staging area: its sizes, and the rows that stages leave.

Rows are written in the order of their buckets and read back by ranges of bytes, so that Beam
shuffles where they lie and not them: at 100 million images, 70,000 such ranges. A row of an image
has 33 bytes, one of a hash in one of its bands 24.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from twofold.components import files
from twofold.components.data.preparation.staging_area import StagingArea, read_json, write_json

# An image: its sort key; what it is compared by, two words; whether it is held out (1), and whether
# one of those that it stands for is (2).
IMAGE = np.dtype([("key", "<u8", 2), ("value", "<u8", 2), ("flags", "u1")])
# An image and the one that stands for it: sort keys, and whether either is held out (1, 2).
MEMBER = np.dtype([("key", "<u8", 2), ("lowest", "<u8", 2), ("flags", "u1")])
HELD_OUT, HOLDS, LOWEST_HELD_OUT = 1, 2, 2
# A hash, the detail hash, and the number of the image that has them (`numbers_of`).
BANDED = np.dtype([("hash", "<u8"), ("detail", "<u8"), ("number", "<u8")])
_ROW_BITS = 40

# Where rows lie: the name of a file, and the first and last byte.
Place = tuple[str, int, int]
# Passed on from stage to stage, so that the last one runs after all.
DONE = "done"


@dataclass(frozen=True)
class SearchSizes:
    """Into what a search is cut.

    Attributes:
        folder: where its stages work, in the staging area; named by all that is searched.
        parts: how many parts are looked at together.
        buckets: into how many the images are put by their digests, by their hashes, and by each
            band of their hashes.

    """

    folder: str
    parts: int
    buckets: int


@dataclass(frozen=True)
class SearchArea:
    """The folder.

    Attributes:
        staging: where it lies.
        name: its name there.

    """

    staging: StagingArea
    name: str

    def path(self, name: str) -> str:
        """A file in it."""
        return self.staging.path(self.name, name)

    def names(self) -> list[str]:
        """The files in it."""
        return files.names(self.staging.folder(self.name))

    def is_done(self, name: str) -> bool:
        """Whether `finish` was called for this piece of work."""
        return files.exists(self.path(f"{name}.json"))

    def finish(self, name: str, places: Mapping[str, Place], **counts: int) -> None:
        """Write down, last of all, where a piece of work left its rows, by bucket."""
        write_json(self.path(f"{name}.json"), {"places": places, **counts})

    def count(self, name: str, what: str) -> int:
        """A number that was given to `finish`."""
        return int(read_json(self.path(f"{name}.json"))[what])

    def places(self, name: str) -> Iterator[tuple[str, Place]]:
        """Each bucket with where a finished piece of work left its rows."""
        for bucket, place in read_json(self.path(f"{name}.json"))["places"].items():
            file, start, stop = place
            yield bucket, (file, start, stop)

    def save(self, name: str, rows: np.ndarray) -> None:
        """Write rows, to be read as a whole."""
        files.make_directory(self.staging.folder(self.name))
        with files.new_file(self.path(name)) as file:
            np.save(file, rows)

    def load(self, name: str) -> np.ndarray:
        """Read what `save` wrote."""
        loaded: np.ndarray = np.load(io.BytesIO(files.read_bytes(self.path(name))))
        return loaded

    def spread(
        self, name: str, rows: Iterable[tuple[str, np.ndarray, np.ndarray]]
    ) -> dict[str, Place]:
        """Write rows in the order of their buckets; where those of each bucket lie.

        Args:
            name: of the file.
            rows: some at a time: the prefix of their buckets' names, the rows, and the bucket's
                number of each, int64 [N].

        """
        files.make_directory(self.staging.folder(self.name))
        places: dict[str, Place] = {}
        with files.new_file(self.path(name)) as file:
            position = 0
            for prefix, some, numbers in rows:
                order = np.argsort(numbers, kind="stable")
                file.write(some[order].tobytes())
                found, counts = np.unique(numbers, return_counts=True)
                for number, count in zip(found.tolist(), counts.tolist(), strict=True):
                    stop = position + count * some.dtype.itemsize
                    places[f"{prefix} {number:05d}"] = (name, position, stop)
                    position = stop
        return places

    def gather(self, places: Iterable[Place], kind: np.dtype) -> np.ndarray:
        """Read the rows that lie at the places, whose order and repetition do not matter."""
        wanted = sorted(set(places))
        read = files.read_ranges([(self.path(name), start, stop) for name, start, stop in wanted])
        return np.frombuffer(b"".join(read), kind)


def bucket_of(values: np.ndarray, buckets: int) -> np.ndarray:
    """A bucket for each value, int64 [N], alike for equal ones; of uint64 [N] or [N, 2]."""
    words = values if values.ndim == 2 else values[:, None]
    mixed = np.zeros(len(words), np.uint64)
    for column in range(words.shape[1]):
        # Steps of a finaliser of MurmurHash3: each bit has a say in each.
        mixed = (mixed ^ words[:, column]) * np.uint64(0xFF51AFD7ED558CCD)
        mixed ^= mixed >> np.uint64(33)
        mixed *= np.uint64(0xC4CEB9FE1A85EC53)
        mixed ^= mixed >> np.uint64(33)
    found: np.ndarray = (mixed % np.uint64(buckets)).astype(np.int64)
    return found


def numbers_of(bucket: int, flags: np.ndarray) -> np.ndarray:
    """A number for each row of a bucket, uint64 [N], of their flags; it says whether one HOLDS."""
    rows = np.arange(len(flags)) + (bucket << _ROW_BITS)
    numbers: np.ndarray = (2 * rows + (flags & HOLDS != 0)).astype(np.uint64)
    return numbers


def holds(numbers: np.ndarray) -> np.ndarray:
    """Whether the rows of these numbers stand for a held-out image, bool [N]."""
    return np.asarray(numbers & np.uint64(1), bool)


def rows_of(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bucket and the row of each number, int64 [N] both."""
    whole = (numbers >> np.uint64(1)).astype(np.int64)
    return whole >> _ROW_BITS, whole & ((1 << _ROW_BITS) - 1)
