"""Unread settings: refused where they differ from their defaults.

Otherwise a person would believe that such a setting was obeyed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twofold.components.settings import Section
from twofold.pipeline.config.effects.data_effects import DATA
from twofold.pipeline.config.effects.effect import Effect
from twofold.pipeline.config.effects.method_effects import METHOD, RUN, VIEWS
from twofold.pipeline.config.effects.result_effects import EVALUATION, EXPORT, STUDY
from twofold.pipeline.config.effects.training_effects import TRAINING
from twofold.pipeline.config.typed_values import as_yaml


def without_effect(config: Any) -> Iterator[str]:
    """Describes each setting that differs from its default where nothing reads it.

    Args:
        config: a ``RunConfig``, whose validation this is a part of.

    """
    for path, section, effects in _sections(config):
        for effect in effects:
            for key in effect.keys:
                value, default = _value_and_default(section, key)
                if value == default or effect.read(section, config):
                    continue
                needs = effect.needs
                for own, usual in ((TRAINING, "training."), (VIEWS, "views.")):
                    needs = needs.replace(usual, path) if effects is own else needs
                shown = "" if isinstance(value, Section) else f"={as_yaml(value)}"
                yield (
                    f"{path}{key}{shown} {effect.fault}: expected {needs}, or "
                    f"{path}{key}={as_yaml(default)}"
                )


def _sections(config: Any) -> Iterator[tuple[str, Section, tuple[Effect, ...]]]:
    yield "data.", config.data, DATA
    yield "training.", config.training, TRAINING
    yield "method.", config.method, METHOD
    yield "evaluation.", config.evaluation, EVALUATION
    yield "export.", config.export, EXPORT
    yield "", config, RUN
    policies = {
        "views.": config.views,
        "second_views.": config.second_views,
        "probe_views.": config.probe_views,
        "evaluation.finetune_views.": config.evaluation.finetune_views,
    }
    yield from ((path, views, VIEWS) for path, views in policies.items() if views is not None)
    if config.study is not None:
        yield "study.", config.study, STUDY
    teacher = config.method.teacher_stage
    if teacher is not None:
        yield "method.teacher.training.", teacher.training, TRAINING


def _value_and_default(section: Section, key: str) -> tuple[Any, Any]:
    """Returns the same twice where the section has no such key, as a source that lacks it."""
    head, _, rest = key.partition(".")
    if head not in type(section).model_fields:
        source = getattr(section, "source", None)
        return (None, None) if source is None else _value_and_default(source, key)
    value = getattr(section, head)
    if rest:
        return _value_and_default(value, rest) if isinstance(value, Section) else (None, None)
    return value, type(section).model_fields[head].get_default(call_default_factory=True)
