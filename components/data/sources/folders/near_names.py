"""Names near those of splits, such as `test_set`, `val2017`, `seg_train` and `dev`."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable

from twofold.components.data.sources.label_names import SPLIT_NAMES, split_named

# What is called so may well be a class.
_WEAK_NAMES = {"dev": "validation", "eval": "validation"}
_NEAR_NAMES = SPLIT_NAMES | {"holdout": "test", "trainval": "train"}
_WORD_NAMES = _NEAR_NAMES | _WEAK_NAMES
# What else stands in the name of a folder of a split.
_CONTAINERS = ("image", "images", "img", "imgs", "jpegimages", "pictures", "photos", "frames")
_NEUTRAL = frozenset(
    (*_CONTAINERS, "data", "dataset", "set", "split", "part", "folder", "full", "stg", "seg")
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ATTACHED = re.compile(r"(.*?)(?:images?|data|set)")


@functools.lru_cache(maxsize=1 << 16)
def split_nearly_named(text: str) -> str | None:
    """The split that a folder's name means where those beside it mean one; None for any other."""
    return split_named(text) or _meaning(text, _WORD_NAMES)


@functools.lru_cache(maxsize=1 << 16)
def split_surely_named(text: str) -> str | None:
    """The split that a folder's name means whatever is beside it (`test_set`, but not `dev`)."""
    return split_named(text) or _meaning(text, _NEAR_NAMES)


@functools.lru_cache(maxsize=1 << 16)
def split_in_words(text: str) -> str | None:
    """The split that a name means or that one of its words is (`pets_train`); None for any other.

    Classes may be called so, too (`freight_train`).
    """
    found = {_WORD_NAMES.get(word.lower()) for word in _WORDS.findall(text)} - {None}
    return split_nearly_named(text) or (found.pop() if len(found) == 1 else None)


def other_words(text: str) -> tuple[str, ...]:
    """The words of a name that are no split; digits count as words."""
    words = (word.lower() for word in re.findall(rf"[0-9]+|{_WORDS.pattern}", text))
    return tuple(word for word in words if word not in _WORD_NAMES)


def joined_splits(texts: Iterable[str]) -> list[str]:
    """Names that differ only in the split that they begin or end with (`petstrain`, `petstest`)."""
    found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for text in sorted(texts):
        for word, split in SPLIT_NAMES.items():
            if split == "unlabelled":
                continue
            before, after = text.lower().removesuffix(word), text.lower().removeprefix(word)
            if len(text) > len(before) > 0:
                found[before, ""][split] = text
            if len(text) > len(after) > 0:
                found["", after][split] = text
    return next((sorted(each.values()) for each in found.values() if len(each) > 1), [])


def split_in_file_name(text: str) -> str | None:
    """The split that a file's name says by its first word, or else by the one word that is a split.

    So do `train-00000-of-00008.tfrecord`, `cifar10-test.tfrecord` and `imagenet_val_3.tfrecord`.
    """
    words = re.findall(r"[A-Za-z]+", text)
    if words and text.startswith(words[0]) and split_named(words[0]):
        return split_named(words[0])
    found = {split_nearly_named(word) for word in words} - {None}
    return found.pop() if len(found) == 1 else None


def is_container(text: str) -> bool:
    """Whether a folder's name says no more than that there are images in it."""
    return text.lower() in _CONTAINERS


def _meaning(text: str, names: dict[str, str]) -> str | None:
    """The split that the one word means which is neither neutral nor a single letter."""
    words = [word.lower() for word in _WORDS.findall(text)]
    words = [word for word in words if len(word) > 1 and word not in _NEUTRAL]
    if len(words) != 1 or not text.isascii():
        return None
    attached = _ATTACHED.fullmatch(words[0])
    return names.get(words[0]) or (names.get(attached[1]) if attached else None)
