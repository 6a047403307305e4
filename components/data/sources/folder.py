"""Folder source: image files in class folders or flat, also inside archives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from twofold.components import files
from twofold.components.data.sources.access.archives import (
    UNREADABLE,
    FileContainer,
    Folder,
    open_container,
)
from twofold.components.data.sources.access.spooled_listing import Row, Spool, read_entries
from twofold.components.data.sources.folder_layout import FolderLayout, FolderNames
from twofold.components.data.sources.source import (
    SOURCES,
    Item,
    Paths,
    Select,
    SourceInfo,
    SourceSettings,
    select_all,
)
from twofold.components.errors import DataError
from twofold.components.settings import scheme_checked

EXTENSIONS = (".jpg", ".jpeg", ".png")
# Of the formats that can be converted, see `twofold.components.data.rules.image_rules`.
OTHER_EXTENSIONS = (".gif", ".bmp", ".tif", ".tiff", ".webp")


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

    first_folders: Literal["auto", "classes"] = Field(
        "auto",
        description="classes: each first folder is a class, whatever its name; auto: train, valid, "
        "test, unlabelled and the like are what these names say, as are training_set, dev and the "
        "like where all of them name splits",
    )

    def build(self, *, convertible: bool = False) -> FolderSource:
        """Builds the source."""
        extensions = EXTENSIONS + OTHER_EXTENSIONS if convertible else EXTENSIONS
        return FolderSource(self.path, self.group_pattern, extensions, self.first_folders)


@dataclass(frozen=True)
class _Listing:
    """Every image of every path, in reading order, and what its folders say."""

    spool: Spool
    info: SourceInfo
    layout: FolderLayout


class FolderSource:
    """The image files under one or more paths; other files are counted and ignored.

    A path is a directory, a .zip or a .tar (compressed or not), read in place; also one in a bucket
    (`gs://...`). A key is the file's path inside it, with forward slashes.
    `folder_layout` says what the folders mean; class names are sorted over all paths together, and
    images without a class have label -1. Hidden files and those in hidden folders are ignored.

    The paths are listed once, when that is first needed, in a stream: what stays in memory is eight
    bytes an image (of a bucket, one folder's listing at a time). The listing is kept in a temporary
    file. Every process that reads a compressed .tar unpacks it into a temporary file first, so that
    a .zip or a plain .tar prepares faster.

    Args:
        path: at least one.
        group_pattern: a regular expression with one group, searched for in each key; what the group
            matches is the image's group. Images whose key does not match have none.
        extensions: how the names of image files end, in lower case.
        first_folders: "classes" takes each first folder as a class, "auto" those that are named
            like a split as one.

    Raises:
        DataError: a path is missing or no folder or archive, or another setting is not as
            described. Later, that a path holds no image or is damaged, that two images have the
            same key, or that it is not clear which folders are splits and which are classes.

    """

    def __init__(
        self,
        path: Sequence[str | Path],
        group_pattern: str | None,
        extensions: Sequence[str],
        first_folders: Literal["auto", "classes"] = "auto",
    ):
        self._first_folders = first_folders
        self._extensions = tuple(extensions)
        self._group = None if group_pattern is None else _compile(group_pattern)
        self._containers = tuple(open_container(files.resolve(each)) for each in path)
        self._held: _Listing | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def info(self) -> SourceInfo:
        """Classes, count, and a fingerprint of names, sizes and times (or checksums)."""
        return self._listing().info

    def tasks(self, items: int) -> Iterator[bytes]:
        """Consecutive files, with where they are, their label and their split."""
        listing = self._listing()
        label_of = {name: label for label, name in enumerate(listing.info.class_names)}

        def label_and_split(row: Row) -> tuple[int, str | None]:
            split, class_name = listing.layout.split_and_class(row.key)
            return -1 if class_name is None else label_of[class_name], split

        return listing.spool.tasks(items, label_and_split)

    def read(self, task: bytes, selected: Select = select_all) -> Iterator[Item]:
        """The files of a task."""
        return read_entries(task, selected, self._containers.__getitem__)

    def _listing(self) -> _Listing:
        if self._held is None:
            self._held = self._list()
        return self._held

    def _list(self) -> _Listing:
        names, ignored = FolderNames(), [0] * len(self._containers)
        meant = "folder" if self._first_folders == "auto" else "folder of classes"
        spool = Spool(self._rows(names, ignored), meant)
        paths = ", ".join(container.path for container in self._containers)
        if spool.repeated is not None:
            raise DataError(
                f"{spool.repeated.count} images have the key {spool.repeated.key!r} in {paths}; "
                "paths inside the folders and archives of one source must differ (give their "
                "parent folder instead)"
            )
        layout = FolderLayout(by_split=False, reserved=False)
        if self._first_folders == "auto":
            in_folder = len(self._containers) == 1 and isinstance(self._containers[0], Folder)
            layout = names.layout(paths, paths if in_folder else None)
        info = SourceInfo(
            kind="folder",
            class_names=names.class_names(layout),
            latent_names=(),
            fingerprint=spool.fingerprint,
            items=spool.items,
            ignored=sum(ignored),
            taken_as=names.describe(layout),
        )
        return _Listing(spool, info, layout)

    def _rows(self, names: FolderNames, ignored: list[int]) -> Iterator[Row]:
        """The images; their folders are added to `names`, and other files counted by container."""
        for number, container in enumerate(self._containers):
            images, others = 0, 0
            for member in _members(container):
                if not self._is_image(member.name):
                    others += 1
                    continue
                images += 1
                names.add(member.name)
                group = self._group_of(member.name)
                yield Row(member.name, member.content_id, number, member.location, group=group)
            if not images:
                raise DataError(
                    f"{container.path}: no images in it; expected files ending in "
                    f"{', '.join(self._extensions)}, found {others} other files"
                )
            ignored[number] = others

    def _is_image(self, name: str) -> bool:
        path = PurePosixPath(name)
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
        return not hidden and path.suffix.lower() in self._extensions

    def _group_of(self, key: str) -> str | None:
        found = None if self._group is None else self._group.search(key)
        return None if found is None else found[1]


def _members(container: FileContainer) -> Iterator[Any]:
    try:
        yield from container.members()
    except UNREADABLE as error:
        raise DataError(f"{container.path}: cannot be listed, or is damaged ({error})") from error


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
