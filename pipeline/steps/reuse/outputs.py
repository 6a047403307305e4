"""Outputs of each step in a run's directory: checked when it is reused, and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from twofold.components.methods.settings import METHODS

EMBEDDINGS = "embeddings"
# Besides those of the methods.
_PRETRAIN_FIGURES = ("views", "curves", "teacher_curves")
# Files that count as damaged where they are missing or of another size.
_CHECKED = {
    "pretrain": ("checkpoints/model.json", "checkpoints/final/*"),
    "evaluate": ("embeddings/*.npy", "embeddings/*.npz"),
    "export": ("saved_model/1/**/*", "runtimes/**/*"),
}
# Has to be there in a run that did not record its files.
_ESSENTIAL = {
    "pretrain": ("checkpoints/final/weights.index", "checkpoints/final/weights.data-*"),
    "evaluate": ("embeddings/*.np[yz]",),
    "export": ("saved_model/1/saved_model.pb",),
}


def file_sizes(run: Path, step: str) -> dict[str, int]:
    """Returns the files that a step made, by path within the run, with their bytes."""
    found = (path for pattern in _CHECKED.get(step, ()) for path in run.glob(pattern))
    return {
        path.relative_to(run).as_posix(): path.stat().st_size
        for path in sorted(found)
        if path.is_file()
    }


def changed_files(run: Path, step: str, recorded: Mapping[str, int] | None) -> list[str]:
    """Says what is missing or of another size than a step recorded, one sentence each.

    Of a step that recorded nothing, what is missing of the files that it always makes or is empty.
    """
    if recorded is None:
        missing = [one for one in _ESSENTIAL.get(step, ()) if not any(run.glob(one))]
        empty = [name for name, size in file_sizes(run, step).items() if not size]
        return [
            *(f"{run / pattern} is missing" for pattern in missing),
            *(f"{run / name} is empty" for name in empty),
        ]
    problems = []
    for name, size in recorded.items():
        path = run / name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif path.stat().st_size != size:
            problems.append(f"{path} has {path.stat().st_size:,} bytes instead of {size:,}")
    return problems


def results(run: Path, step: str, *, pretrained: bool, embedded: bool) -> Iterator[Path]:
    """Gives what a step and those after it made and another attempt would replace.

    Args:
        run: its directory.
        step: the first step that is done again.
        pretrained: whether what training would go on from, or has ended with, is kept in place.
        embedded: the same for the embeddings.

    """
    figures = sorted(run.glob("figures/*.png"))
    of_methods = {name for method in METHODS.classes.values() for name in method.figures}
    own = [path for path in figures if path.stem in {*_PRETRAIN_FIGURES, *of_methods}]
    if step == "pretrain" and not pretrained:
        yield from (run / "checkpoints", run / "tensorboard", *own)
    if step in ("pretrain", "evaluate"):
        yield from (path for path in figures if path not in own)
        if not embedded:
            yield run / EMBEDDINGS
    yield from (run / "saved_model", run / "runtimes")


def made_from(file: Path) -> str | None:
    """Returns the fingerprint in a ``model.json`` or an index of embeddings, if there is one."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = values.get("fingerprint") if isinstance(values, dict) else None
    return None if found is None else str(found)
