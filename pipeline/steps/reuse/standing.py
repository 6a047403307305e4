"""Step status: finished, of other inputs or other code, damaged, or not yet begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from twofold.components import files
from twofold.components.data.store.manifest import MANIFEST_FILE, damaged_files, read_code
from twofold.components.errors import OtherCodeError, RunDirectoryError
from twofold.components.training.resuming.checkpoint_files import has_checkpoint
from twofold.pipeline.runs.code_fingerprint import (
    Dependencies,
    changed_modules,
    code_digest,
    source_digest,
)
from twofold.pipeline.runs.code_fingerprint import (
    read_code as read_code_now,
)
from twofold.pipeline.runs.record_format import RECORD, parse_record
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.reuse.course import is_left
from twofold.pipeline.steps.reuse.fingerprints import (
    data_set_name,
    earlier_fingerprint,
    same_values,
    step_code,
    step_dependencies,
    step_values,
)
from twofold.pipeline.steps.reuse.outputs import changed_files

NOT_COMPARED = (
    "nothing was compared for data.full_check: files are held to an earlier data set only while "
    "another is prepared"
)
_NAMED_MODULES = 6
# Stands for the modules that prepared other images than those trained on, which are not recorded.
_PREPARATION = "the preparation of its images"


@dataclass(frozen=True)
class Standing:
    """How a step stands.

    Attributes:
        kind: "done"; "code" where only the code differs from which it was made, finished or not;
            "damaged" where something of it is missing; "open" where it has to be done.
        reasons: the modules that changed, none where they are not known; or what is damaged.

    """

    kind: Literal["done", "code", "damaged", "open"]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """The data set that a run is to have.

    Attributes:
        name: of its directory.
        code: of its preparation, modules with their hashes; None where it is not known.
        changed: the modules that differ from those of now; None where none does.

    """

    name: str
    code: Mapping[str, str] | None
    changed: tuple[str, ...] | None


def examine(context: Context, step: str) -> Standing:
    """Looks at the record of a step, and at what it made; those before it have to be done."""
    entry = context.run.entry(step)
    if not entry:
        return Standing("open")
    same = _same_inputs(context, step, entry)
    prepared_anew = not same and _same_but_for_preparation(context, step, entry)
    if not same and not prepared_anew:
        return Standing("open")
    finished = is_finished(context, step)
    if not finished and not _has_partial_work(context, step):
        return Standing("open")
    changed = code_changes(entry, step_dependencies(step, context))
    if prepared_anew:
        changed = (_PREPARATION, *(changed or ()))
    if changed is not None and not (finished and context.other_code == "reuse"):
        return Standing("code", changed)
    if not finished:
        return Standing("open")
    # What is damaged is not reused, whichever code made it.
    problems = _damage(context, step, entry)
    if problems:
        return Standing("damaged", tuple(problems))
    return Standing("done") if changed is None else Standing("code", changed)


def is_finished(context: Context, step: str) -> bool:
    """Tells whether a step has ended, and is not to be longer than it was."""
    entry = context.run.entry(step)
    ended: bool = entry.get("status") == "done"
    return ended and not (step == "pretrain" and is_left(entry, context.config))


def goes_on(context: Context, step: str) -> bool:
    """Tells whether an unfinished step goes on with what it left, which is of the same inputs."""
    same = _same_inputs(context, step, context.run.entry(step))
    return same and not is_finished(context, step) and _has_partial_work(context, step)


def code_changes(entry: Mapping[str, Any], dependencies: Dependencies) -> tuple[str, ...] | None:
    """Names the modules that changed since a step was done, or since its result was accepted.

    Returns:
        None where nothing did; empty where the code of the step is not known.

    """
    known = [made for made in (entry, entry.get("reused") or {}) if made.get("code")]
    for made in known:
        if made.get("source") == source_digest(dependencies, made["code"]):
            return None
    now = read_code_now(dependencies)
    changes = [changed_modules(made["code"], now.modules) for made in known]
    if not all(changes):
        return None
    return tuple(changes[0]) if entry.get("code") else ()


def choose_data_set(context: Context) -> DataSet:
    """Chooses the data set of a run: one that this code prepared, else one of the same settings.

    Raises:
        OtherCodeError: if other code prepared the only one there is, and the user is to be asked.

    """
    plain, now = data_set_name(context), step_code("prepare", context)
    # Beside one that other code prepared, which other runs may be of.
    own = DataSet(f"{plain}-{now.digest[:8]}", now.modules, None)
    if _exists(context, own.name):
        return own
    if not _exists(context, plain):
        begun = context.run.entry("prepare").get("code")
        if context.other_code == "reuse" and _has_partial_work(context, "prepare"):
            changed = () if begun is None else tuple(changed_modules(begun, now.modules))
            return DataSet(plain, begun, changed if changed or begun is None else None)
        return DataSet(plain, now.modules, None)
    code = read_code(files.join(context.datasets, plain))
    changed = () if code is None else tuple(changed_modules(code, now.modules))
    if code is not None and not changed:
        return DataSet(plain, code, None)
    if context.other_code == "update":
        return own
    if context.other_code == "ask":
        directory = files.join(context.datasets, plain)
        raise OtherCodeError(
            f"the data set {directory} was prepared by other code ({describe_changes(changed)}): "
            f"use it with --reuse, or prepare another one beside it with --update"
        )
    return DataSet(plain, code, changed)


def describe_changes(changed: tuple[str, ...]) -> str:
    """Says which modules changed."""
    if not changed:
        return "of a version that did not record it"
    more = len(changed) - _NAMED_MODULES
    named = ", ".join(changed[:_NAMED_MODULES])
    return f"changed: {named}{f' and {more} more' if more > 0 else ''}"


def _same_inputs(context: Context, step: str, entry: Mapping[str, Any]) -> bool:
    now = step_values(step, context)
    if (entry.get("reused") or {}).get("inputs") == now:
        return True
    if "inputs" in entry:
        return same_values(entry["inputs"], now, context.config)
    if entry.get("fingerprint") == earlier_fingerprint(step, now):
        return True
    # Settings that were added since change the fingerprint and nothing else.
    alone = step not in ("prepare", "study") and "inputs" not in context.run.entry("prepare")
    return alone and context.run.same_configuration


def _same_but_for_preparation(context: Context, step: str, entry: Mapping[str, Any]) -> bool:
    """Tells whether training saw the same images, which other code prepared."""
    if step != "pretrain" or "inputs" not in entry:
        return False
    recorded, now = (
        {key: value for key, value in values.items() if key != "dataset_code"}
        for values in (entry["inputs"], step_values(step, context))
    )
    return same_values(recorded, now, context.config)


def _has_partial_work(context: Context, step: str) -> bool:
    """Tells whether an unfinished step left what it would go on from."""
    if step == "pretrain":
        return has_checkpoint(context.run.path / "checkpoints")
    if step == "prepare":
        name = data_set_name(context)
        return any(one.startswith(f".tmp-{name}-") for one in files.names(context.datasets))
    return False


def _damage(context: Context, step: str, entry: Mapping[str, Any]) -> list[str]:
    if step == "study":
        return [
            problem
            for name in entry.get("details", {}).get("members", ())
            for problem in _member_damage(context.run.path / name)
        ]
    if step == "prepare":
        if not _exists(context, str(context.run.details("prepare")["dataset"])):
            return [f"{context.dataset_directory} is missing"]
        return damaged_files(context.dataset_directory)
    return changed_files(context.run.path, step, entry.get("files"))


def _member_damage(member: Path) -> list[str]:
    """Says what is missing of a member of a study: of its networks, and of its embeddings."""
    try:
        record = parse_record(member / RECORD)
    except (OSError, RunDirectoryError) as error:
        return [f"{member / RECORD} cannot be read: {error}"]
    steps = {name: record["steps"].get(name) for name in ("pretrain", "evaluate")}
    return [
        problem
        for name, entry in steps.items()
        if entry is not None
        for problem in changed_files(member, name, entry.get("files"))
    ]


def _exists(context: Context, name: str) -> bool:
    return files.exists(files.join(context.datasets, name, MANIFEST_FILE))


def same_code(code: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Tells whether two records of code are the same."""
    return code_digest(code) == code_digest(other)
