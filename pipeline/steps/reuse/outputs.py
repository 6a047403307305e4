"""Outputs of each step in a run's directory: checked when it is reused, and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twofold.components import files
from twofold.components.methods.settings import METHODS

STEPS = ("prepare", "pretrain", "evaluate", "export")
EMBEDDINGS = "embeddings"
# The folder of a run that keeps self-training's teacher.
TEACHER = "teacher"
# Besides those of the methods.
_PRETRAIN_FIGURES = ("views", "curves", "teacher_curves")
# Files that count as damaged where they are missing or not as they were written.
_CHECKED = {
    "pretrain": ("checkpoints/model.json", "checkpoints/final/*"),
    "evaluate": ("embeddings/*.npy", "embeddings/*.npz"),
    "export": ("saved_model/1/**/*", "runtimes/**/*"),
}
# Bytes of a file that is read whenever it is reused.
_ALWAYS_READ = 1 << 20
# Has to be there in a run that did not record its files.
_ESSENTIAL = {
    "pretrain": ("checkpoints/final/weights.index", "checkpoints/final/weights.data-*"),
    "evaluate": ("embeddings/*.np[yz]",),
    "export": ("saved_model/1/saved_model.pb",),
}


def from_step(name: str) -> tuple[str, ...]:
    """Returns a step and those after it, in their order."""
    return STEPS[STEPS.index(name) :]


def describe_files(run: Path, step: str) -> dict[str, dict[str, Any]]:
    """Returns what is recorded of the files that a step made, by path within the run."""
    described = {}
    for name, path in _files(run, step):
        status = path.stat()
        described[name] = {
            "bytes": status.st_size,
            "crc32c": files.crc32c(path),
            "modified_ns": status.st_mtime_ns,
        }
    return described


def changed_files(
    run: Path, step: str, recorded: Mapping[str, int | Mapping[str, Any]] | None
) -> list[str]:
    """Says what is missing or not as a step recorded it, one sentence each.

    A small file is held to its checksum, and so is a larger one that was written since, maybe by
    being copied. Of a step that recorded nothing, what is missing of the files that it always makes
    or is empty.

    Args:
        run: its directory.
        step: its name.
        recorded: of ``describe_files``, or the bytes alone, as earlier versions recorded.

    """
    if recorded is None:
        missing = [one for one in _ESSENTIAL.get(step, ()) if not any(run.glob(one))]
        empty = [path for _, path in _files(run, step) if not path.stat().st_size]
        return [
            *(f"{run / pattern} is missing" for pattern in missing),
            *(f"{path} is empty" for path in empty),
        ]
    found = (_difference(run / name, each) for name, each in recorded.items())
    return [difference for difference in found if difference is not None]


def _files(run: Path, step: str) -> list[tuple[str, Path]]:
    found = sorted(path for pattern in _CHECKED.get(step, ()) for path in run.glob(pattern))
    return [(path.relative_to(run).as_posix(), path) for path in found if path.is_file()]


def _difference(path: Path, recorded: int | Mapping[str, Any]) -> str | None:
    if not path.is_file():
        return f"{path} is missing"
    status = path.stat()
    size = recorded if isinstance(recorded, int) else recorded["bytes"]
    if status.st_size != size:
        return f"{path} has {status.st_size:,} bytes instead of {size:,}"
    if isinstance(recorded, int):
        return None
    untouched = size > _ALWAYS_READ and status.st_mtime_ns == recorded["modified_ns"]
    if not untouched and files.crc32c(path) != recorded["crc32c"]:
        return f"{path} is not as it was written: its checksum differs"
    return None


def results(run: Path, step: str, *, pretrained: bool, embedded: bool) -> Iterator[Path]:
    """Gives what a step and those after it made and another attempt would replace.

    Args:
        run: its directory.
        step: the first step that is done again.
        pretrained: whether what training would go on from, or has ended with, is kept in place.
        embedded: the same for the embeddings.

    """
    measured = evaluation_figures(run)
    own = [path for path in sorted(run.glob("figures/*.png")) if path not in measured]
    if step == "pretrain" and not pretrained:
        yield from (run / "checkpoints", run / "tensorboard", run / "metrics.jsonl", *own)
    elif step in ("pretrain", "evaluate"):
        # Within the folder above.
        yield run / "tensorboard" / "evaluation"
    if step in ("pretrain", "evaluate"):
        yield from measured
        if not embedded:
            yield run / EMBEDDINGS
    yield from (run / "saved_model", run / "runtimes")


def evaluation_figures(run: Path) -> list[Path]:
    """Returns the pictures in a run's directory that its evaluation drew."""
    of_methods = {name for method in METHODS.every() for name in method.figures}
    return [
        path
        for path in sorted(run.glob("figures/*.png"))
        if path.stem not in {*_PRETRAIN_FIGURES, *of_methods}
    ]


def made_from(file: Path) -> str | None:
    """Returns the fingerprint in a ``model.json`` or an index of embeddings, if there is one."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = values.get("fingerprint") if isinstance(values, dict) else None
    return None if found is None else str(found)
