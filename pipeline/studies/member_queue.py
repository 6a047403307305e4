"""Queue of a study's members: run in turn by any number of processes that share its directory.

A member is taken by the lock on its directory; what another process holds is left to it. So several
machines that see the same folder, with locks (a local disk, NFS), share a study's work.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

from twofold.components.errors import DirectoryInUseError, StudyError, UsageError
from twofold.pipeline.config import RunConfig
from twofold.pipeline.config.study import encoders_of
from twofold.pipeline.runs.error_line import error_line
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.before_preparing import check_before_preparing
from twofold.pipeline.studies.study_members import Member, is_prepared, member_config, study_of

# No encoder of a study is exported.
LAST_STEP = "evaluate"
_POLL_SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class Unit:
    """What one process does of a study at a time: an encoder with a seed.

    Attributes:
        encoder: its name in the study.
        seed: of the run.
        config: of the run.

    """

    encoder: str
    seed: int
    config: RunConfig


# From the study, what is to be run, and whether its images were described before, to its runs.
RunUnit = Callable[[Context, Unit, bool], list[Member]]


def study_units(config: RunConfig) -> list[Unit]:
    """Returns what is to be run of a study, in its order.

    Raises:
        ConfigError: if a member's settings cannot be used.

    """
    study = study_of(config)
    return [
        Unit(encoder, seed, member_config(config, encoder, seed))
        for seed in study.seeds
        for encoder in encoders_of(study)
    ]


def part_of(study: Context, config: RunConfig) -> Context:
    """Gives the context of a run within a study's directory."""
    return dataclasses.replace(study, config=config, run=study.run.part(config))


def check_units(study: Context, units: Sequence[Unit]) -> None:
    """Refuses an encoder that could not be run before the others are, which may take days.

    Raises:
        SettingsError: see ``check_before_preparing``.

    """
    for unit in units:
        # Seeds change nothing of it.
        if unit.seed == units[0].seed:
            check_before_preparing(part_of(study, unit.config), LAST_STEP)


def run_members(
    study: Context, units: Sequence[Unit], run_unit: RunUnit, *, wait: bool
) -> list[Member]:
    """Runs units that are not finished, whatever becomes of the others.

    Args:
        study: the study.
        units: in their order.
        run_unit: runs one.
        wait: for those that other processes hold, and take over what these leave; otherwise they
            are left to them, but for those that are free after others were run.

    Returns:
        The members, in the order of their units.

    Raises:
        StudyError: once all others are finished, if any failed.
        UsageError: at once, if only the user can say how to go on.

    """
    done: dict[str, list[Member]] = {}
    failed: dict[str, Exception] = {}
    left, told = list(units), False
    held: list[Unit] = []
    while left:
        held = []
        for unit in left:
            name = unit.config.name
            try:
                done[name] = run_unit(study, unit, bool(done))
            except DirectoryInUseError:
                held.append(unit)
            except UsageError:
                raise
            except Exception as error:
                if not is_prepared(study.run.path / unit.config.name):
                    # All see the same images.
                    raise
                failed[name] = error
                study.say(f"{name}: failed: {error_line(error)}")
        if len(held) == len(left):
            if not wait:
                break
            if not told:
                names = ", ".join(unit.config.name for unit in held)
                study.say(f"waiting for {names}, which other processes run")
            told = True
            _pause(study)
        left = held
    if failed:
        lines = "; ".join(f"{name}: {error_line(error)}" for name, error in failed.items())
        rest = f"{len(held)} under way in other processes" if held else "the others finished"
        raise StudyError(
            f"{len(failed)} of {len(units)} runs of {study.config.name} failed, {rest}: {lines}; "
            f"the same command tries these again"
        ) from ExceptionGroup("failed runs of a study", list(failed.values()))
    return [member for unit in units for member in done.get(unit.config.name, [])]


def wait_for_images(study: Context, first: Unit) -> None:
    """Waits until the process that began a study has prepared its images.

    Raises:
        DirectoryInUseError: if that process has ended before.

    """
    while not is_prepared(study.run.path / first.config.name):
        if not study.run.is_in_use():
            raise DirectoryInUseError(
                f"the process that began {study.config.name} ended before its images were "
                f"prepared: run the same command again"
            )
        _pause(study)


def _pause(study: Context) -> None:
    time.sleep(_POLL_SECONDS)
    if study.stop.time_is_up:
        study.stop.end()
