"""Skipped files of a listing: what is no image, by kind, and classes of nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath

from twofold.components.data.rules.file_kinds import (
    CAMERA_RAW,
    IMAGE_EXTENSIONS,
    PICTURES,
    RAW_EXTENSIONS,
    READABLE,
    kind_of,
)
from twofold.components.data.sources.folders.folder_layout import FolderLayout
from twofold.components.data.sources.folders.folder_reading import FolderReading
from twofold.components.errors import DataError
from twofold.components.name_lists import list_names

OUTSIDE = "outside the splits"
_HIDDEN = "hidden"
_BROKEN = "broken links"
# What lies beside images and is none of them, whatever the rest of a data set is.
_DOCUMENTS = frozenset(
    (
        *(".txt", ".md", ".rst", ".pdf", ".doc", ".docx", ".odt", ".tex", ".html", ".htm", ".url"),
        *(".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg"),
        *(".xls", ".xlsx", ".log", ".py", ".ipynb", ".sh", ".m", ".db", ".sql", ".md5", ".sha256"),
    )
)
_ARCHIVES = frozenset((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"))
# So many kinds and folders are told apart.
_KINDS = 30
_FOLDERS = 10_000
_SHOWN = 8


def is_doubtful(name: str) -> bool:
    """Whether only the content of a file of this name tells if it is an image."""
    extension = PurePosixPath(name).suffix.lower()
    known = extension in IMAGE_EXTENSIONS or extension in RAW_EXTENSIONS
    return not known and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


class SkippedFiles:
    """Files that are passed over."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self._folders: dict[str, Counter[str]] = defaultdict(Counter)

    @property
    def count(self) -> int:
        """How many there are."""
        return self._kinds.total()

    def skip(self, name: str, head: bytes, folder: str = "", *, broken: bool = False) -> bool:
        """Tells whether a file is passed over, and counts it then.

        Args:
            name: its path.
            head: its first bytes where `is_doubtful`.
            folder: what stands before the path in a key.
            broken: whether it is a link to nothing, or no file for another reason; what has an
                image's name is no less an image that cannot be read.

        """
        kind = _kind(name, head)
        if kind is not None and kind != _HIDDEN and broken:
            kind = _BROKEN
        if kind is None:
            return False
        if kind not in self._kinds and len(self._kinds) >= _KINDS and kind not in PICTURES:
            kind = "others"
        self._kinds[kind] += 1
        path = f"{folder}{name}".rpartition("/")[0]
        if kind != _HIDDEN and (path in self._folders or len(self._folders) < _FOLDERS):
            self._folders[path][kind] += 1
        return True

    def add_empty(self, path: str) -> None:
        """Remembers a folder without files."""
        self._folders.setdefault(path, Counter())

    def counts(self, left_out: int = 0) -> Mapping[str, int]:
        """How many of each kind, most first; with those left out as outside the splits."""
        found = dict(self._kinds.most_common())
        return found | {OUTSIDE: left_out} if left_out else found

    def line(self) -> str:
        """What was passed over, in words; "" for nothing."""
        if not self._kinds:
            return ""
        kinds = kinds_text(self._kinds)
        what = "file that is no image" if self.count == 1 else "files that are no images"
        return f"skipped {self.count:,} {what}: {kinds}{self.archives_text()}"

    def archives_text(self) -> str:
        """What to do with archives that lie in a folder; "" where there are none."""
        found = [kind for kind in self._kinds if kind in _ARCHIVES]
        if not found:
            return ""
        return f"; archives in a folder ({', '.join(found)}) are not opened: name them in data.path"

    def check_lost(self, reading: FolderReading, where: str, *, chosen: bool) -> str:
        """Refuses classes and splits of which there are files and none of them is an image.

        Documents are passed over, as is anything but pictures where the layout was chosen.

        Returns:
            Where there are folders and no image, in words; "" for nowhere.

        Raises:
            DataError: there is such a class or split.

        """
        layout, classes = reading.layout, reading.class_names
        splits = {split for split, _ in reading.found}
        refused: dict[str, Counter[str]] = defaultdict(Counter)
        said: set[str] = set()
        for path, kinds in self._folders.items():
            split, name = layout.split_and_class(path) or (None, None)
            if split is not None and split not in splits:
                lost = f"split {split}"
            elif classes and name is not None and name not in classes:
                lost = f"class {name}"
            elif (classes and name is not None) and (split, name) not in reading.found:
                said.add(f"class {name} in split {split}")
                continue
            else:
                continue
            refused[lost] += kinds
        for lost in sorted(refused):
            self._check(lost, refused[lost], layout, where, chosen=chosen)
        said |= refused.keys()
        names = sorted(said)
        return f"no image of {list_names(names, _SHOWN)}" if names else ""

    def _check(
        self, lost: str, kinds: Counter[str], layout: FolderLayout, where: str, *, chosen: bool
    ) -> None:
        pictures = any(kind in PICTURES for kind in kinds)
        documents = sum(number for kind, number in kinds.items() if kind in _DOCUMENTS)
        if not pictures and (chosen or 2 * documents >= kinds.total()):
            return
        choice = f", or data.first_folders={layout.pattern} goes on without it"
        raise DataError(
            f"{where}: {lost} has no image that can be read, but {kinds_text(kinds)}: expected "
            f"{', '.join(READABLE)}; convert these files or move the folder away"
            f"{'' if pictures else choice}"
        )


def kinds_text(kinds: Counter[str]) -> str:
    """How many of each kind, most first."""
    shown = [f"{number:,} {kind}" for kind, number in kinds.most_common(_SHOWN)]
    rest = kinds.total() - sum(number for _, number in kinds.most_common(_SHOWN))
    return ", ".join([*shown, *([f"{rest:,} others"] if rest else [])])


def _kind(name: str, head: bytes) -> str | None:
    """What a file is if no image to be read; None for an image."""
    if _is_hidden(name):
        return _HIDDEN
    extension = PurePosixPath(name).suffix.lower()
    if extension in RAW_EXTENSIONS:
        return CAMERA_RAW
    if extension in IMAGE_EXTENSIONS:
        return None
    kind = kind_of(head)
    return None if kind in READABLE else kind or extension or "without an extension"
