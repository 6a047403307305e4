"""Cache of decoded images, in memory or on disk, where there is room for them."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np

from twofold.components.data.reading.encoded_images import EncodedImages
from twofold.components.errors import DataError
from twofold.components.files import new_directory

CACHES = ("auto", "memory", "disk", "off")

_FILE = "images.npy"
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
# `auto` keeps in memory at most this share of it, and fills at most this share of the free disk.
_MEMORY_SHARE = 0.1
_DISK_SHARE = 0.5

# Arrays in memory by what they hold. The weak table finds those that somebody uses, the other one
# keeps those that are within the share of memory for the steps that come after.
_in_use: weakref.WeakValueDictionary[str, np.ndarray] = weakref.WeakValueDictionary()
_kept: dict[str, np.ndarray] = {}


def decoded(
    images: EncodedImages,
    *,
    cache: str,
    target: Path,
    keep_as: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray | None:
    """The images decoded, or None where they are to be decoded whenever they are read.

    `memory` and `disk` say where the array is to be. `auto` takes what is on disk already. If
    nothing is, it decides by the bytes of all decoded images: for memory where they and what
    is kept there make no more than a tenth of the memory (the machine's, or the container's where
    that is less), otherwise for the disk where they take no more than half of what is free there,
    and otherwise for none.

    Args:
        images: to decode.
        cache: one of `CACHES`.
        target: the folder that holds, or is to hold, the array on disk; its name says which.
        keep_as: names what an array in memory holds, so that it is decoded once in a process; None
            decodes it anew.
        progress: called with the number of images decoded so far, if any have to be.

    Raises:
        DataError: `cache` is unknown, or an image is damaged or of another shape.

    """
    if cache not in CACHES:
        raise DataError(f"cache must be one of {', '.join(CACHES)}, received {cache!r}")
    if cache == "off":
        return None
    if cache in ("auto", "disk"):
        found = _open(target, images.shape)
        if found is not None:
            return found
        cache = _choose(images, target, keep_as) if cache == "auto" else cache
    if cache == "memory":
        return _in_memory(images, keep_as, progress)
    if cache == "disk":
        shutil.rmtree(target, ignore_errors=True)
        _write(images, target, progress)
        found = _open(target, images.shape)
        if found is None:
            raise DataError(f"{target}: the decoded images could not be read back")
        return found
    return None


def _choose(images: EncodedImages, target: Path, keep_as: str | None) -> str:
    if keep_as is not None and keep_as in _in_use:
        return "memory"
    size = int(np.prod(images.shape))
    if _kept_bytes() + size <= _MEMORY_SHARE * memory_bytes():
        return "memory"
    return "disk" if size <= _DISK_SHARE * free_bytes(target) else "off"


def memory_bytes() -> int:
    """The memory of the machine, or of the container that this process runs in."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        return total
    # Where there is no limit it says "max".
    return min(total, int(limit)) if limit.isdecimal() else total


def free_bytes(target: Path) -> int:
    """What can be written where a folder is to be; 0 where nothing may be."""
    above = next(folder for folder in target.absolute().parents if folder.exists())
    return shutil.disk_usage(above).free if os.access(above, os.W_OK) else 0


def _kept_bytes() -> int:
    return sum(array.nbytes for array in _kept.values())


def _in_memory(
    images: EncodedImages, keep_as: str | None, progress: Callable[[int], None] | None
) -> np.ndarray:
    found = _in_use.get(keep_as) if keep_as is not None else None
    if found is not None:
        return found
    array = np.empty(images.shape, np.uint8)
    filled = 0
    for batch in images.in_order():
        array[filled : filled + len(batch)] = batch
        filled += len(batch)
        if progress is not None:
            progress(filled)
    # Several callers may be given it.
    array.setflags(write=False)
    if keep_as is not None:
        _in_use[keep_as] = array
        if _kept_bytes() + array.nbytes <= _MEMORY_SHARE * memory_bytes():
            _kept[keep_as] = array
    return array


def _open(target: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array on disk; None where there is none or it is not what it should be."""
    try:
        images = np.load(target / _FILE, mmap_mode="r", allow_pickle=False)
    # Whatever is wrong with a cache, the answer is to make it again.
    except Exception:
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None


def _write(images: EncodedImages, target: Path, progress: Callable[[int], None] | None) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": images.shape}
    try:
        # Through a memory map a full disk would end the process.
        with new_directory(target) as staging, (staging / _FILE).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            filled = 0
            for batch in images.in_order():
                file.write(batch.data)
                filled += len(batch)
                if progress is not None:
                    progress(filled)
    except FileExistsError:
        # Another process wrote the same cache meanwhile; the caller opens that one.
        return
