"""Expected results of the recipe that was run, beside what the run or study found."""

from __future__ import annotations

from collections.abc import Iterable

from twofold.components.errors import ConfigError
from twofold.components.evaluation.metrics import value_text
from twofold.components.pages.expected_result import ExpectedResult
from twofold.components.training.continuing.influence import Influence, select
from twofold.pipeline import recipes
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.config.expected import Expected
from twofold.pipeline.runs.run_record import RunRecord, flat, setting_text

# What leaves the results as they are: names, paths and formats; and settings of a training that
# are marked as such.
_WITHOUT_EFFECT = (
    "name",
    "seed",
    "export.",
    "data.licence",
    "data.cache",
    "data.images_per_shard",
    # Seeds that were not measured have a note of their own.
    "study.seeds",
    "study.reference.",
)


def expected_results(record: RunRecord, config: RunConfig | None) -> list[ExpectedResult]:
    """Gives a row for each expected result; none where the run is not of a recipe.

    Whether a value lies in the range is said only of a run with the settings that the range was
    measured with, and of as many held-out images.
    """
    rows = []
    for one in _expected(record):
        found = record.metrics.get(one.metric)
        rows.append(
            ExpectedResult(
                title=one.title,
                expected=one.text,
                remarks=one.remarks,
                found=None if found is None else value_text(one.metric, found),
                within=None
                if found is None or not _is_comparable(record, config, one)
                else one.holds(found),
            )
        )
    return rows


def _is_comparable(record: RunRecord, config: RunConfig | None, expected: Expected) -> bool:
    settings = (*expected.protocol.settings, *expected.settings)
    if config is None or changed_from_recipe(str(record.values["recipe"]), settings, config):
        return False
    return expected.protocol.held_out in (None, record.held_out[1])


def expected_notes(record: RunRecord, config: RunConfig) -> list[str]:
    """Says on what the expected results were measured, and in what the run differs from that."""
    expected = _expected(record)
    if not expected:
        return []
    notes = []
    data = dict.fromkeys(one.protocol.data for one in expected if one.protocol.data)
    if data:
        notes.append(f"The expected results are of {', '.join(data)}.")
    settings = (*expected[0].protocol.settings, *expected[0].settings)
    changed = changed_from_recipe(str(record.values["recipe"]), settings, config)
    if changed:
        notes.append(
            f"The run has other settings than they were measured with, so that other values are "
            f"to be expected: {'; '.join(changed)}."
        )
    seeds = {seed for one in expected for seed in one.seeds}
    ran = [config.seed] if config.study is None else config.study.seeds
    notes += [
        f"Seed {seed} is none of those that were measured: {', '.join(map(str, sorted(seeds)))}."
        for seed in ran
        if seed not in seeds
    ]
    return notes


def changed_from_recipe(name: str, settings: Iterable[str], config: RunConfig) -> list[str]:
    """Gives the settings with an effect on results that differ: key, value, and the measured one.

    Args:
        name: of a recipe.
        settings: ``key=value``, of the measurement beside the recipe's own.
        config: of the run.

    """
    try:
        measured = override(recipes.load_recipe(name), list(settings))
    except ConfigError as error:
        return [str(error)]
    nothing = {key for key, _ in flat(select(config, {Influence.NOTHING}))}
    before, now = (dict(flat(one.model_dump(mode="json"))) for one in (measured, config))
    return [
        f"{key}={setting_text(now.get(key))} (was {setting_text(before.get(key))})"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
        if key not in nothing and not _is_without_effect(key)
    ]


def _is_without_effect(key: str) -> bool:
    return key.endswith(".path") or any(
        key.startswith(one) if one.endswith(".") else key == one for one in _WITHOUT_EFFECT
    )


def _expected(record: RunRecord) -> tuple[Expected, ...]:
    name = str(record.values.get("recipe"))
    if name not in recipes.recipe_names():
        return ()
    # A study's results are those of the study, not of its members.
    of_study = bool(record.configuration.get("study"))
    return tuple(
        one for one in recipes.expected_results(name) if one.metric.startswith("study/") == of_study
    )
