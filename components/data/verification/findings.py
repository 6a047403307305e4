"""Findings of a verification: the damage of a data set, file by file."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from twofold.components.data.store.manifest import MANIFEST_FILE, File

_MOST_A_FILE = 100


@dataclass(frozen=True)
class Finding:
    """A file of the dataset, and in one sentence what is wrong with it."""

    file: str
    problem: str


@dataclass
class Findings:
    """What was found so far; of one file only so much is kept."""

    found: list[Finding] = field(default_factory=list)
    files: Counter[str] = field(default_factory=Counter)

    def add(self, file: str, problem: str) -> None:
        """Add a finding."""
        self.files[file] += 1
        if self.files[file] <= _MOST_A_FILE:
            self.found.append(Finding(file, problem))
        elif self.files[file] == _MOST_A_FILE + 1:
            self.found.append(Finding(file, "there is more, which is not listed"))

    def expect(self, file: str, what: str, expected: Any, found: Any) -> None:
        """Add a finding where the two differ."""
        if expected != found:
            self.add(file, f"{what}: expected {expected}, found {found}")


def compare_file(expected: File, found: File, findings: Findings) -> None:
    """Add a finding where a file is not as the manifest says."""
    if expected.bytes != found.bytes:
        findings.expect(expected.file, "size in bytes", expected.bytes, found.bytes)
    elif expected.sha256 != found.sha256:
        blocks = itertools.zip_longest(expected.blocks, found.blocks)
        differing = [number for number, (one, other) in enumerate(blocks) if one != other]
        where = f", and of its blocks of 4 MiB these differ: {differing[:8]}" if differing else ""
        findings.add(
            expected.file,
            f"expected the sha256 {expected.sha256[:16]}, found {found.sha256[:16]}{where}",
        )
    elif expected.blocks != found.blocks:
        findings.add(MANIFEST_FILE, f"the checksums of the blocks of {expected.file} are not its")
