"""Room for a step: what it and those after it would replace is moved aside first."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twofold.components import files
from twofold.components.training.resuming.checkpoint_files import has_checkpoint
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import PAGE
from twofold.pipeline.steps.reuse.beginning import rough_duration
from twofold.pipeline.steps.reuse.course import Going
from twofold.pipeline.steps.reuse.fingerprints import (
    embedding_fingerprint,
    step_inputs,
    training_images,
)
from twofold.pipeline.steps.reuse.outputs import EMBEDDINGS, from_step, made_from, results

# What there is of a step that did not finish; of training, before its first checkpoint.
_BEGUN = {
    "pretrain": "what an attempt left that trained nothing",
    "evaluate": "what an unfinished evaluation left",
    "export": "what an unfinished export left",
}


@dataclasses.dataclass(frozen=True)
class Room:
    """What a step and those after it are to make anew, and is moved aside.

    Attributes:
        paths: files and folders of the run.
        line: what is done with them and why, for people.

    """

    paths: tuple[Path, ...]
    line: str


def plan_room(
    context: Context,
    name: str,
    begun: str,
    going: Going | None = None,
    *,
    cause: str = "",
    folder: Path | None = None,
) -> Room | None:
    """Tells what a step would move aside, and changes nothing.

    Args:
        context: of the run.
        name: of the step.
        begun: fingerprint of what training begins with, where that is the step.
        going: how it goes on; None where it is not about to.
        cause: the step because of which this is so; empty for the step itself.
        folder: that takes it, as people are told; None for the one of this process.

    Returns:
        None where nothing is replaced.

    """
    # The same images prepared again are the same data set.
    if name == "prepare":
        return None
    run = context.run
    finished = [one for one in from_step(name) if run.entry(one).get("status") == "done"]
    checkpoints = run.path / "checkpoints"
    pretrained = made_from(checkpoints / "model.json") in (None, begun)
    if going is not None and going.anew:
        pretrained = False
    if not finished and pretrained:
        return None
    embedded = made_from(run.path / EMBEDDINGS / "index.json") == (
        embedding_fingerprint(context) if name == "evaluate" else None
    )
    listed = list(results(run.path, name, pretrained=pretrained, embedded=embedded))
    if going is not None and going.further:
        # What was finished stays as it was; its pictures are drawn anew.
        listed += [checkpoints / "final", *sorted(run.path.glob("figures/*.png"))]
    there = tuple(dict.fromkeys(path for path in listed if path.exists()))
    if not there:
        return None
    spent = ", ".join(f"{one} ({rough_duration(run.seconds(one))})" for one in finished)
    left = _BEGUN[name]
    if name == "pretrain" and has_checkpoint(checkpoints):
        left = "an unfinished training"
    does = f"replaces {spent or left}"
    if going is not None and going.further:
        does = "trains on what was finished"
    moved = sorted({_shown(path.relative_to(run.path)) for path in there})
    return Room(
        there,
        f"{cause or name}: {does}; what is there is moved to {folder or run.superseded}: "
        f"{', '.join(moved)}",
    )


def make_room(
    context: Context, name: str, begun: str, going: Going | None = None, cause: str = ""
) -> None:
    """Moves aside what the step and those after it are to make anew, after naming it.

    Args:
        context: of the run.
        name: of the step.
        begun: fingerprint of what training begins with, where that is the step.
        going: how it goes on; None where it is not about to.
        cause: the step because of which this is so; empty for the step itself.

    """
    # The same images prepared again are the same data set.
    if name == "prepare":
        return
    run, room = context.run, plan_room(context, name, begun, going, cause=cause)
    if room is not None:
        context.say(room.line)
        run.set_aside(*room.paths)
        description = run.path / "checkpoints" / "model.json"
        if going is not None and going.further and description.exists():
            # The finished weights stay a checkpoint that can be read.
            copy = run.superseded / description.relative_to(run.path)
            files.write_bytes(copy, description.read_bytes())
    for one in from_step(name)[1:]:
        run.forget(one)


def leave_other_images(context: Context, before: Mapping[str, Any]) -> None:
    """Moves aside what was made of another data set than the run has now.

    Args:
        context: of the run, whose data set is prepared.
        before: what its training saw, where that was not recorded.

    """
    run, now = context.run, known_images(context)
    trained = run.entry("pretrain")
    seen = trained.get("inputs") or before, (trained.get("reused") or {}).get("inputs") or {}
    keys = ("dataset", "dataset_code")
    if not trained or any(all(one.get(key) == now.get(key) for key in keys) for one in seen):
        return
    make_room(context, "pretrain", step_inputs("pretrain", context), cause="prepare")
    run.set_aside(run.path / PAGE)
    run.forget("pretrain")


def known_images(context: Context) -> dict[str, Any]:
    """Returns what decides the images of training; empty where none are prepared yet."""
    known = "dataset_fingerprint" in context.run.details("prepare")
    return training_images(context) if known else {}


def _shown(path: Path) -> str:
    """Names what is moved: a folder of pictures as a whole."""
    return path.parts[0] if path.parts[0] == "figures" else path.as_posix()
