"""Inspection of an exported model, without the code that made it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from twofold.components.errors import ExportedModelError
from twofold.components.export.proof.smoke_test import Answers, run_smoke_test
from twofold.components.export.saved_model.lineage import Lineage, read_lineage
from twofold.components.export.saved_model.recorded_requests import SAMPLE_FILE
from twofold.components.export.saved_model.signature_contract import Signature, read_contract
from twofold.components.export.saved_model.version_directory import (
    CHECKSUMS_FILE,
    EXTRA,
    checksum_of,
    differing_files,
    file_checksums,
    is_version_number,
    read_checksums,
)
from twofold.components.export.saved_model.warmup_requests import WARMUP_FILE

# The files of other engines that a model may have been converted for.
_RUNTIMES = {".onnx": "ONNX", ".tflite": "LiteRT"}


@dataclasses.dataclass(frozen=True)
class Check:
    """Something that was verified.

    Attributes:
        name: what.
        passed: None where the model holds nothing to verify it by.
        detail: what was found.

    """

    name: str
    passed: bool | None
    detail: str


@dataclasses.dataclass(frozen=True)
class RuntimeFile:
    """The same model for another engine: the engine's name, the file, and its size."""

    runtime: str
    path: Path
    bytes: int


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What a version holds, and what came of verifying it.

    Attributes:
        version: its directory.
        checksum: sha256 (hex) of all its files together.
        signatures: by name; empty where they cannot be read.
        lineage: None where there is none, or it cannot be read.
        sizes: bytes by part: ``graph``, ``variables``, ``assets``, ``extra`` and ``all``.
        runtimes: files of other engines within the version or beside it.
        checks: what was verified.
        answers: what the model made of recorded requests.

    """

    version: Path
    checksum: str
    signatures: dict[str, Signature]
    lineage: Lineage | None
    sizes: dict[str, int]
    runtimes: tuple[RuntimeFile, ...]
    checks: tuple[Check, ...]
    answers: Answers

    @property
    def heads(self) -> tuple[str, ...]:
        """The classifiers that can be asked, by the names of their signatures."""
        return tuple(name for name, one in self.signatures.items() if "logits" in one.outputs)

    @property
    def damage(self) -> tuple[str, ...]:
        """What is wrong, one sentence each."""
        return tuple(check.detail for check in self.checks if check.passed is False)

    @property
    def unverified(self) -> tuple[str, ...]:
        """What could not be verified, one sentence each."""
        return tuple(check.detail for check in self.checks if check.passed is None)


def inspect(version: Path, runs: int = 0) -> Inspection:
    """Reads all that a version says of itself, and verifies it.

    Every file is held to its checksum, and the model is loaded in a fresh process through
    TensorFlow Serving's loader, where it is asked what was recorded with it. A SavedModel is a
    program, and loading it runs it.

    Args:
        version: the version directory.
        runs: how many answers to time, at most; 0 for none.

    """
    version = version.resolve()
    present = file_checksums(version)
    checks: list[Check] = []
    signatures: dict[str, Signature] = {}
    try:
        signatures = read_contract(version)
    except ExportedModelError as error:
        checks.append(Check("signatures", False, str(error)))
    lineage, lineage_check = _read_lineage(version)
    checks.append(lineage_check)
    checks += _verify_files(version, present, lineage)
    answers = run_smoke_test(version, runs)
    checks += _verify_answers(answers)
    return Inspection(
        version=version,
        checksum=checksum_of(present),
        signatures=signatures,
        lineage=lineage,
        sizes=_sizes(version),
        runtimes=tuple(_runtimes(version)),
        checks=tuple(checks),
        answers=answers,
    )


def verify_files(version: Path) -> tuple[Check, ...]:
    """Holds a version's files to their checksums alone, which loads nothing."""
    lineage, _ = _read_lineage(version)
    return tuple(_verify_files(version, file_checksums(version), lineage))


def _read_lineage(version: Path) -> tuple[Lineage | None, Check]:
    try:
        lineage = read_lineage(version)
    except ExportedModelError as error:
        return None, Check("lineage", False, str(error))
    if lineage is None:
        return None, Check("lineage", None, "it records no lineage")
    return lineage, Check("lineage", True, "recorded")


def _verify_files(
    version: Path, present: dict[str, str], lineage: Lineage | None
) -> Iterator[Check]:
    try:
        recorded = read_checksums(version)
    except ExportedModelError as error:
        yield Check("checksums", False, str(error))
        return
    if recorded is None:
        # What writes down where a model comes from lists its files, too.
        if lineage is not None and lineage.checkpoint:
            yield Check("checksums", False, f"{EXTRA}/{CHECKSUMS_FILE} is missing")
        else:
            yield Check("checksums", None, "it records no checksums")
        return
    problems = differing_files(recorded, present)
    for problem in problems:
        yield Check("checksums", False, problem)
    if not problems:
        yield Check("checksums", True, f"{len(recorded)} files are as recorded")


def _verify_answers(answers: Answers) -> Iterator[Check]:
    name = "answers" if answers.loaded else "loads"
    for problem in answers.problems:
        yield Check(name, False, problem)
    if answers.loaded:
        yield Check("loads", True, "in a fresh process through TensorFlow Serving's loader")
    if answers.problems:
        return
    if answers.requests or answers.compared:
        detail = f"{answers.requests} warmup requests are answered"
        if answers.compared:
            detail += f", and {answers.compared} recorded embeddings are those of now"
        yield Check("answers", True, detail)
    else:
        files = f"{EXTRA}/{WARMUP_FILE} or {EXTRA}/{SAMPLE_FILE}"
        yield Check("answers", None, f"it records no requests ({files})")


def _sizes(version: Path) -> dict[str, int]:
    sizes = dict.fromkeys(("graph", "variables", "assets", "extra"), 0)
    parts = {"variables": "variables", "assets": "assets", EXTRA: "extra"}
    for path in version.rglob("*"):
        if path.is_file():
            part = parts.get(path.relative_to(version).parts[0], "graph")
            sizes[part] += path.stat().st_size
    return {**sizes, "all": sum(sizes.values())}


def _runtimes(version: Path) -> Iterator[RuntimeFile]:
    version = version.resolve()
    beside = [
        path
        for pattern in ("*", "*/*")
        for path in version.parent.glob(pattern)
        # Another version's are not this one's.
        if not is_version_number(path.relative_to(version.parent).parts[0])
    ]
    # Where a run keeps them.
    of_the_run = (version.parents[1] / "runtimes").glob("*")
    for path in sorted({*version.rglob("*"), *beside, *of_the_run}):
        if path.suffix in _RUNTIMES and path.is_file():
            yield RuntimeFile(_RUNTIMES[path.suffix], path, path.stat().st_size)
