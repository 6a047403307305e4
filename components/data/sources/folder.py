"""Folder source: image files in class folders or flat, also inside archives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from twofold.components import files
from twofold.components.data.rules.file_kinds import READABLE
from twofold.components.data.sources.access.archives import (
    UNREADABLE,
    FileContainer,
    Folder,
    TarArchive,
    check_container,
    open_container,
)
from twofold.components.data.sources.access.last_members import LastMembers
from twofold.components.data.sources.access.spooled_listing import Row, Spool, read_entries
from twofold.components.data.sources.folders.empty_folders import empty_folders
from twofold.components.data.sources.folders.folder_census import FolderCensus
from twofold.components.data.sources.folders.folder_layout import (
    chosen_layout,
    find_layout,
    parse_layout,
)
from twofold.components.data.sources.folders.folder_reading import FolderReading, read_folders
from twofold.components.data.sources.folders.skipped_files import SkippedFiles, is_doubtful
from twofold.components.data.sources.folders.split_paths import split_folders
from twofold.components.data.sources.source import (
    SOURCES,
    Item,
    Paths,
    Select,
    SourceInfo,
    SourceSettings,
    select_all,
)
from twofold.components.errors import DamagedArchiveError, DataError
from twofold.components.settings import scheme_checked

# What a fingerprint has of the setting that tells what folders mean.
_MEANT = {"auto": "folder", "classes": "folder of classes"}


def _checked_layout(value: str) -> str:
    try:
        parse_layout(value)
    except ValueError:
        raise PydanticCustomError(
            "layout",
            "Input should be auto, classes, or split, class and * in their order, as in "
            "*/split/class",
        ) from None
    return value


@SOURCES.register
class FolderSettings(SourceSettings):
    """Settings of image files in folders or archives."""

    name: Literal["folder"] = "folder"
    path: Annotated[Paths, scheme_checked("data.path")] = Field(
        description="folders, .zip or .tar files with images (a list, or one path), also gs://"
    )
    group_pattern: str | None = Field(
        None,
        description="a regular expression whose group, found in a key, is what belongs in one "
        "split together; null: each image by itself",
    )

    first_folders: Annotated[str, AfterValidator(_checked_layout)] = Field(
        "auto",
        description="classes: each first folder is a class, whatever its name; split/class, "
        "class/split, */split/class and the like: what the first folders are, * for neither; auto: "
        "found by the names train, valid, test, unlabelled and the like, wherever they stand",
    )

    damaged_archives: Literal["refuse", "skip"] = Field(
        "refuse",
        description="archives that cannot be read to their end, or have no images: refused, or "
        "left out and counted",
    )

    def build(self) -> FolderSource:
        """Builds the source."""
        return FolderSource(
            self.path, self.group_pattern, self.first_folders, self.damaged_archives
        )


@dataclass(frozen=True)
class _Listing:
    """Every image of every path, in reading order, and what its folders say."""

    spool: Spool
    info: SourceInfo
    reading: FolderReading


class FolderSource:
    """The image files under one or more paths; other files are skipped and counted by kind.

    A path is a directory, a .zip or a .tar (compressed or not), read in place; also one in a bucket
    (`gs://...`). A key is the file's path inside it, with forward slashes.
    `folders.folder_layout` says what the folders mean; class names are sorted over all paths
    together, and images without a class have label -1. Where all of several paths are named like
    splits (`train.zip`, `pets_test.zip`, `train/a`) and nothing in them is, keys begin with these
    names or those of their splits. Hidden
    files and those in hidden folders are skipped. An image is told by the end of its name or, where
    that says nothing, by its first bytes; what it really holds is told when it is decoded.

    The paths are listed once, when that is first needed, in a stream: what stays in memory is eight
    bytes an image (of a bucket, one folder's listing at a time). The listing is kept in a temporary
    file. Every process that reads a compressed .tar unpacks it into a temporary file first, so that
    a .zip or a plain .tar prepares faster.

    Args:
        path: at least one.
        group_pattern: a regular expression with one group, searched for in each key; what the group
            matches is the image's group. Images whose key does not match have none.
        first_folders: "auto", "classes", or what the first folders are, as in "class/split".

        damaged_archives: "skip" leaves out archives that cannot be read to their end, for which
            each is listed once more, and paths without images.

    Raises:
        DataError: a path is missing or no folder or archive, or another setting is not as
            described. Later, that a path holds no image or is damaged, that two images have the
            same key, or that it is not clear which folders are splits and which are classes.

    """

    def __init__(
        self,
        path: Sequence[str | Path],
        group_pattern: str | None,
        first_folders: str = "auto",
        damaged_archives: Literal["refuse", "skip"] = "refuse",
    ):
        self._first_folders = first_folders
        self._chosen = parse_layout(first_folders)
        self._group = None if group_pattern is None else _compile(group_pattern)
        paths = [files.resolve(each) for each in path]
        self._skips = damaged_archives == "skip"
        self._containers, self._damaged = _open(paths, skip=self._skips)
        self._held: _Listing | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def info(self) -> SourceInfo:
        """Classes, count, and a fingerprint of names, sizes and times (or checksums)."""
        return self._listing().info

    def tasks(self, items: int) -> Iterator[bytes]:
        """Consecutive files, with where they are, their label and their split."""
        listing = self._listing()
        return listing.spool.tasks(items, listing.reading.label_and_split)

    def read(self, task: bytes, selected: Select = select_all) -> Iterator[Item]:
        """The files of a task."""
        return read_entries(task, selected, self._containers.__getitem__)

    def _listing(self) -> _Listing:
        if self._held is None:
            self._held = self._list()
        return self._held

    def _list(self) -> _Listing:
        listing = self._list_named()
        if listing.spool.repeated is not None:
            listing = self._list_last(listing)
        repeated = listing.spool.repeated
        if repeated is not None:
            paths = [container.path for container in self._containers]
            several = "paths inside the folders and archives of one source must differ (give their "
            raise DataError(
                f"{repeated.count} images have the key {repeated.key!r} in {', '.join(paths)}; "
                + (
                    f"{several}parent folder instead)"
                    if len(paths) > 1
                    else "pack it anew with each name once"
                )
            )
        return listing

    def _list_last(self, found: _Listing) -> _Listing:
        """Lists once more, without the images that later members of a .tar replace."""
        self._containers = tuple(
            LastMembers(each) if isinstance(each, TarArchive) else each for each in self._containers
        )
        listing = self._list_named()
        replaced = found.spool.items - listing.spool.items
        if not replaced:
            return listing
        info = listing.info
        line = f"left out {replaced:,} images that later ones of the same name replace in a .tar"
        skipped = {**info.skipped, "replaced in a .tar": replaced}
        info = replace(info, skipped=skipped, taken_as=(*info.taken_as, line))
        return replace(listing, info=info)

    def _list_named(self) -> _Listing:
        """Lists all images, with paths that are named like splits as folders of these names."""
        paths = [container.path for container in self._containers]
        listing = self._list_below([""] * len(paths))
        if self._first_folders == "auto" and "split" not in listing.reading.layout.roles:
            names = split_folders(paths)
            if names is not None:
                listing = self._list_below([f"{name}/" for name in names])
        return listing

    def _list_below(self, folders: Sequence[str]) -> _Listing:
        """Lists all images, those of each path as if they were in the folder given for it."""
        census, skipped = FolderCensus(), SkippedFiles()
        meant = _MEANT.get(self._first_folders, f"folder {self._first_folders}")
        spool = Spool(self._rows(census, skipped, folders), meant)
        paths = ", ".join(container.path for container in self._containers)
        if not spool.items:
            raise DataError(f"{paths}: no images in any of them; expected {', '.join(READABLE)}")
        chosen = self._chosen
        layout = chosen_layout(chosen, census) if chosen else find_layout(census, paths)
        reading = read_folders(spool, layout, paths, chosen=chosen is not None)
        for container, folder in zip(self._containers, folders, strict=True):
            if isinstance(container, Folder):
                for name in empty_folders(container.path, len(layout.roles)):
                    skipped.add_empty(f"{folder}{name}")
        lost = skipped.check_lost(reading, paths, chosen=chosen is not None)
        info = SourceInfo(
            kind="folder",
            class_names=reading.class_names,
            latent_names=(),
            fingerprint=reading.fingerprint,
            items=spool.items - reading.left_out,
            skipped=self._with_damaged(skipped.counts(reading.left_out)),
            taken_as=tuple(
                filter(None, (reading.line, skipped.line(), lost, self._damaged_line()))
            ),
        )
        return _Listing(spool, info, reading)

    def _with_damaged(self, counts: Mapping[str, int]) -> Mapping[str, int]:
        return {**counts, "damaged archives": len(self._damaged)} if self._damaged else counts

    def _damaged_line(self) -> str:
        if not self._damaged:
            return ""
        number = len(self._damaged) + len(self._containers)
        return f"skipped {len(self._damaged)} of {number} paths: {_errors_text(self._damaged)}"

    def _rows(
        self, census: FolderCensus, skipped: SkippedFiles, folders: Sequence[str]
    ) -> Iterator[Row]:
        """The images, which the census counts; the other files are skipped."""
        for number, (container, folder) in enumerate(zip(self._containers, folders, strict=True)):
            images, before = 0, skipped.count
            for member in _members(container):
                if skipped.skip(member.name, member.head, folder, broken=member.broken):
                    continue
                images += 1
                key, location = f"{folder}{member.name}", member.location
                if folder and isinstance(container, Folder):
                    # Its files are found by their key unless it is said where they are.
                    location = location or member.name.encode()
                census.add(key)
                yield Row(key, member.content_id, number, location, group=self._group_of(key))
            if not images and not (self._skips and len(self._containers) > 1):
                raise DataError(
                    f"{container.path}: no images in it; expected {', '.join(READABLE)}, found "
                    f"{skipped.count - before} other files{skipped.archives_text()}"
                )

    def _group_of(self, key: str) -> str | None:
        found = None if self._group is None else self._group.search(key)
        return None if found is None else found[1]


def _open(paths: Sequence[str], *, skip: bool) -> tuple[tuple[FileContainer, ...], tuple[str, ...]]:
    """The folders and archives at the paths, and what is wrong with those that are left out."""
    containers: list[FileContainer] = []
    problems: list[str] = []
    for path in paths:
        try:
            container = open_container(path)
            if skip and not isinstance(container, Folder):
                check_container(container)
            containers.append(container)
        except DamagedArchiveError as error:
            problems.append(str(error))
    if problems and not (skip and containers):
        setting = "" if skip else "; data.damaged_archives=skip goes on without them"
        raise DamagedArchiveError(_errors_text(problems) + setting * (len(paths) > 1))
    return tuple(containers), tuple(problems)


def _errors_text(problems: Sequence[str], most: int = 3) -> str:
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(problems[:most]) + more


def _members(container: FileContainer) -> Iterator[Any]:
    try:
        yield from container.members(is_doubtful)
    except UNREADABLE as error:
        raise DamagedArchiveError(
            f"{container.path}: cannot be listed, or is damaged ({error}); "
            f"data.damaged_archives=skip goes on without it where there are others"
        ) from error


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"group_pattern: {pattern!r} is no regular expression ({error})") from error
    if compiled.groups != 1:
        raise DataError(
            f"group_pattern: expected a regular expression with one group, as in '^([^_]+)_', "
            f"received {pattern!r} with {compiled.groups}"
        )
    return compiled
