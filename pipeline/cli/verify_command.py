"""Verification of a prepared data set by `twofold verify`, told line by line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from twofold.components import files
from twofold.components.data.store.manifest import MANIFEST_FILE, Manifest, parse_manifest
from twofold.components.data.verification.verify_dataset import verify_dataset
from twofold.components.errors import DataError
from twofold.pipeline.cli.progress_bar import ProgressDisplay


def verify(dataset: str | Path, *, out: Console, errors: Console, decode: bool = True) -> int:
    """Check a dataset and say what is wrong with it.

    Args:
        dataset: its directory, local or remote.
        out: takes a line a finding, and a summary.
        errors: shows how far it is.
        decode: whether to decode the images, which takes most of the time.

    Returns:
        The exit status: 0 for an intact dataset, 1 for any other.

    Raises:
        DataError: there is no such directory.

    """
    manifest = _manifest(dataset)
    images = 0 if manifest is None else sum(split.images for split in manifest.splits.values())
    progress = ProgressDisplay(errors, say=lambda line: out.print(escape(line)))
    with progress.bar("verify", images, "images") as advance:
        findings = verify_dataset(dataset, decode=decode, progress=advance)
    for finding in findings:
        out.print(escape(f"{finding.file}: {finding.problem}"))
    # The manifest is a file, too.
    checked = 1 if manifest is None else 1 + len(manifest.every_file)
    if not findings:
        out.print(f"{images:,} images in {checked:,} files: intact")
        return 0
    damaged = Counter(finding.file for finding in findings)
    summary = f"{_count(len(findings), 'problem')} in {_count(len(damaged), 'file')}: not intact"
    out.print(summary)
    return 1


def _manifest(dataset: str | Path) -> Manifest | None:
    try:
        return parse_manifest(files.join(dataset, MANIFEST_FILE))
    except DataError:
        return None


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
