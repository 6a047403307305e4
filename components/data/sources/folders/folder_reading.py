"""Reading of folders: the classes, splits and left out images of a listing, by its layout."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from twofold.components.data.sources.access.spooled_listing import Row, Spool
from twofold.components.data.sources.folders.folder_layout import FolderLayout, check_strays
from twofold.components.data.sources.label_names import is_unlabelled, split_named
from twofold.components.name_lists import list_names

# So many folders outside the splits are remembered for the line.
_FOLDERS = 1000


@dataclass(frozen=True)
class FolderReading:
    """How the folders of a listing were read.

    Attributes:
        layout: by which.
        class_names: sorted.
        found: each split with each class name that has images, None for none.
        left_out: how many images lie outside the splits.
        line: all of it in words.
        fingerprint: sha256 (hex) of the images and of what their folders mean.

    """

    layout: FolderLayout
    class_names: tuple[str, ...]
    found: frozenset[tuple[str | None, str | None]]
    left_out: int
    line: str
    fingerprint: str
    _labels: Mapping[str | None, int]

    def label_and_split(self, row: Row) -> tuple[int, str | None] | None:
        """The label and the split of an image; None where it is left out."""
        found = self.layout.split_and_class(row.key.rpartition("/")[0])
        return None if found is None else (self._labels[found[1]], found[0])


def read_folders(spool: Spool, layout: FolderLayout, where: str, *, chosen: bool) -> FolderReading:
    """Reads the folders of all images of a listing.

    Args:
        spool: the images, in no split of their own.
        layout: what their folders mean.
        where: the source's paths, for the message of an error.
        chosen: whether the layout was chosen by the setting.

    Raises:
        DataError: by a chosen layout many images would be left out.

    """
    classes: set[str] = set()
    all_found: set[tuple[str | None, str | None]] = set()
    splits: dict[str | None, set[str]] = defaultdict(set)
    outside: set[str] = set()
    strays, first, last = 0, "", None
    found: tuple[str | None, str | None] | None = None
    for row in spool.rows():
        folder = row.key.rpartition("/")[0]
        if folder != last:
            last, found = folder, layout.split_and_class(folder)
            if found is not None:
                all_found.add(found)
                split, name = found
                if name is not None:
                    classes.add(name)
                splits[split].add(_telling(folder, layout, split))
            elif len(outside) < _FOLDERS:
                outside.add(folder)
        if found is None:
            strays += 1
            first = first or row.key
    check_strays(strays, spool.items, first, layout, where)
    names = tuple(sorted(classes))
    as_named = all(split_named(name) for each in splits.values() for name in each if name)
    as_before = layout.roles == ("class",) or (layout.roles == ("split", "class") and as_named)
    meant = spool.fingerprint
    if not chosen and (strays or not as_before):
        meant = hashlib.sha256(f"{meant} {layout.pattern}".encode()).hexdigest()
    return FolderReading(
        layout=layout,
        class_names=names,
        found=frozenset(all_found),
        left_out=strays,
        line=_line(layout, names, splits, _strays_text(strays, first, outside, layout, classes)),
        fingerprint=meant,
        _labels={None: -1, **{name: label for label, name in enumerate(names)}},
    )


def _telling(folder: str, layout: FolderLayout, split: str | None) -> str:
    """The name that tells the split, "" where none does and "." for images in no folder."""
    folders = folder.split("/") if folder else []
    named = dict(zip(layout.roles, folders, strict=False))
    if named.get("split"):
        return named["split"]
    if split is None:
        return "" if folder else "."
    return next(filter(is_unlabelled, folders), "")


def _line(
    layout: FolderLayout,
    classes: tuple[str, ...],
    splits: Mapping[str | None, set[str]],
    strays: str,
) -> str:
    said = [f"classes {list_names(classes)}"] if classes else ["no classes"]
    for split, folders in sorted(splits.items(), key=lambda one: one[0] or ""):
        names = sorted(f"{name}/" for name in folders - {"", "."})
        if split is not None and names:
            kind = "images without a label" if split == "unlabelled" else split
            said.append(f"{kind} in {list_names(names)}")
    if classes and "." in splits.get(None, ()):
        said.append("images in no folder without a label")
    if strays:
        said.append(strays)
    if layout.roles == ("class",) and len(classes) == 1:
        said.append("data.first_folders=*/class takes the folders in that one as classes")
    return f"folders read as {layout.pattern}: {'; '.join(said)}"


def _strays_text(
    strays: int, first: str, outside: set[str], layout: FolderLayout, classes: set[str]
) -> str:
    """How many images are left out, and with which whole folders; "" for none."""
    if not strays:
        return ""
    level = layout.roles.index("split")
    lost: set[str] = set()
    for folders in (folder.split("/") for folder in outside if folder):
        name = dict(zip(layout.roles[:level], folders, strict=False)).get("class")
        if len(folders) > level or (name is not None and name not in classes):
            lost.add("".join(f"{folder}/" for folder in folders[: level + 1]))
    names = tuple(sorted(lost))
    kinds = "is no split and no class" if len(names) == 1 else "are no splits and no classes"
    said = f": {list_names(names)} {kinds}" if names else ""
    return f"left out {strays:,} outside the splits ({first}{' ...' * (strays > 1)}){said}"
