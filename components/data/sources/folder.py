"""Image files in class folders or flat, also inside archives."""

from __future__ import annotations

import bisect
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from components.data.errors import DataError
from components.data.sources.archives import UNREADABLE, Container, Member, open_container
from components.data.sources.base import Chunk, Item, SourceInfo, chunk_range
from components.data.sources.layout import split_and_class
from components.data.sources.process import Shared

EXTENSIONS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class _Listing:
    """Every image of every path, in reading order, and what its folders say."""

    members: list[Member]
    containers: list[Container]
    first_positions: list[int]
    splits: list[str | None]
    labels: list[int]
    class_names: tuple[str, ...]
    fingerprint: str
    ignored: int


_LISTINGS: Shared[_Listing] = Shared()


class FolderSource:
    """The .jpg, .jpeg and .png files under one or more paths; other files are counted and ignored.

    A path is a directory, a .zip or a .tar (compressed or not), read in place. A key is the file's
    path inside it, with forward slashes. `layout.split_and_class` says what the folders mean; class
    names are sorted over all paths together, and images without a class have label -1. Hidden files
    and those in hidden folders are ignored. A compressed .tar is one chunk and is decompressed
    again for each shard written, so a .zip or plain .tar prepares faster.

    Args:
        path: one path or several.

    Raises:
        DataError: a path is missing or no folder or archive, holds no image, or two images have
            the same key.

    """

    def __init__(self, path: str | Path | Sequence[str | Path]):
        paths = [path] if isinstance(path, str | Path) else list(path)
        if not paths:
            raise DataError("folder source: expected at least one path, received none")
        self._paths = tuple(Path(each).expanduser().absolute() for each in paths)
        listing = _list(self._paths)
        self._fingerprint = listing.fingerprint
        self._held: _Listing | None = _LISTINGS.get(self._key(), lambda: listing)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def info(self) -> SourceInfo:
        """Classes, counts by split, and a fingerprint of names, sizes and times (or checksums)."""
        listing = self._listing()
        counts = Counter(split for split in listing.splits if split is not None)
        return SourceInfo(
            kind="folder",
            class_names=listing.class_names,
            latent_names=(),
            fingerprint=listing.fingerprint,
            split_counts=tuple(sorted(counts.items())),
            ignored=listing.ignored,
        )

    def chunks(self) -> list[Chunk]:
        """Chunks of each path; a compressed .tar is one chunk, since it is read in one pass."""
        listing = self._listing()
        bounds = [*listing.first_positions, len(listing.members)]
        chunks = []
        for i, container in enumerate(listing.containers):
            start, stop = bounds[i], bounds[i + 1]
            whole = [Chunk(start, stop)]
            chunks += whole if container.sequential else chunk_range(start, stop)
        return chunks

    def read(self, chunk: Chunk) -> Iterator[Item]:
        """The files of a chunk."""
        return self.pick(range(chunk.start, chunk.stop))

    def pick(self, positions: Sequence[int]) -> Iterator[Item]:
        """The files at these positions of the listing."""
        listing = self._listing()
        for position in positions:
            member = listing.members[position]
            content, problem = b"", None
            try:
                content = self._container(listing, position).read(member)
            except UNREADABLE as error:
                problem = str(error) or type(error).__name__
            yield Item(
                key=member.name,
                image=content,
                label=listing.labels[position],
                split=listing.splits[position],
                problem=problem,
            )

    def _container(self, listing: _Listing, position: int) -> Container:
        starts = listing.first_positions
        return listing.containers[bisect.bisect_right(starts, position) - 1]

    def _key(self) -> tuple[tuple[Path, ...], str]:
        return self._paths, self._fingerprint

    def _listing(self) -> _Listing:
        if self._held is None:
            self._held = _LISTINGS.get(self._key(), self._list_again)
        return self._held

    def _list_again(self) -> _Listing:
        listing = _list(self._paths)
        if listing.fingerprint != self._fingerprint:
            paths = ", ".join(map(str, self._paths))
            raise DataError(f"{paths}: files changed while they were being prepared")
        return listing


def _list(paths: Sequence[Path]) -> _Listing:
    members: list[Member] = []
    containers, first_positions = [], []
    ignored = 0
    for path in paths:
        container = open_container(path)
        try:
            found = container.members()
        except OSError as error:
            raise DataError(f"{path}: cannot be listed ({error})") from error
        images = [member for member in found if _is_image(member.name)]
        if not images:
            raise DataError(
                f"{path}: no images in it; expected files ending in {', '.join(EXTENSIONS)}, "
                f"found {len(found)} other files"
            )
        containers.append(container)
        first_positions.append(len(members))
        members += images
        ignored += len(found) - len(images)
    names = [member.name for member in members]
    if len(set(names)) < len(names):
        key, count = Counter(names).most_common(1)[0]
        raise DataError(
            f"{count} images have the key {key!r} in {', '.join(map(str, paths))}; paths inside "
            "the folders and archives of one source must differ (give their parent folder instead)"
        )
    places = split_and_class(names)
    class_names = tuple(sorted({name for _, name in places if name is not None}))
    label_of = {name: label for label, name in enumerate(class_names)}
    lines = "\n".join(sorted(member.identity for member in members))
    return _Listing(
        members=members,
        containers=containers,
        first_positions=first_positions,
        splits=[split for split, _ in places],
        labels=[-1 if name is None else label_of[name] for _, name in places],
        class_names=class_names,
        fingerprint=hashlib.sha256(f"folder\n{lines}".encode()).hexdigest(),
        ignored=ignored,
    )


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in EXTENSIONS
