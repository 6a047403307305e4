"""What each step is made from, as fingerprints: equal inputs and code let finished work be reused.

Nothing here needs TensorFlow, so that a run that has nothing to do ends at once.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any

from twofold.components.errors import ConfigError
from twofold.pipeline.config import RunConfig, parse_config
from twofold.pipeline.runs.code_fingerprint import Code, Dependencies, code_digest, read_code
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import fingerprint
from twofold.pipeline.steps.checks import check_source
from twofold.pipeline.steps.data_source import preparation_settings
from twofold.pipeline.steps.measures.robustness_baseline import read_baseline
from twofold.pipeline.steps.reuse.dependencies import DEPENDENCIES

# Names by which runs and data sets are known that were made before code was part of it.
_EARLIER = {
    "prepare": "prepare-1",
    "pretrain": "pretrain-1",
    "evaluate": "evaluate-1",
    "export": "export-2",
    "study": "study-1",
}


def step_inputs(step: str, context: Context) -> str:
    """Fingerprints what a step is made from, and by which code, when those before it are done."""
    values, code = step_values(step, context), step_code(step, context)
    return fingerprint({"step": step, "inputs": values, "code": code.digest})


def step_values(step: str, context: Context) -> dict[str, Any]:
    """Returns the settings that a step is made by and what it is made of, as plain JSON values."""
    values: dict[str, Any] = json.loads(json.dumps(_INPUTS[step](context), default=str))
    return values


def earlier_fingerprint(step: str, values: Mapping[str, Any]) -> str:
    """Fingerprints inputs alone, as was done before code was part of a step's fingerprint."""
    return fingerprint({"step": _EARLIER[step], **values})


def same_values(recorded: Mapping[str, Any], now: Mapping[str, Any], config: RunConfig) -> bool:
    """Tells whether recorded inputs are those of now, where settings were added, by their defaults.

    Args:
        recorded: what ``step_values`` returned, maybe of an earlier version.
        now: what it returns.
        config: of the run.

    """
    if recorded == now:
        return True
    sections = {name: recorded[name] for name in RunConfig.model_fields if name in recorded}
    whole = config.model_dump(mode="json")
    try:
        filled = parse_config(whole | sections, "run.json").model_dump(mode="json")
    except ConfigError:
        return False
    return {**recorded, **{name: filled[name] for name in sections}} == now


def step_dependencies(step: str, context: Context) -> Dependencies:
    """Returns what the result of a step depends on in code, with what the run has chosen."""
    found = DEPENDENCIES[step]
    if step in ("prepare", "study"):
        chosen = type(context.source).__module__
        found = dataclasses.replace(found, roots=(*found.roots, chosen))
    return found


def step_code(step: str, context: Context) -> Code:
    """Returns the code that the result of a step depends on, as this process found it first."""
    return _code(step_dependencies(step, context))


def step_facts(step: str, context: Context) -> dict[str, Any]:
    """Returns what is recorded of what a step is made from, besides its fingerprint."""
    return {"inputs": step_values(step, context), **code_facts(step_code(step, context))}


def code_facts(code: Code) -> dict[str, Any]:
    """Returns what is recorded of code."""
    return {"code": dict(code.modules), "source": code.source}


def part_code(part: str) -> str:
    """Returns 16 hexadecimal digits of the code of a part that is kept by itself."""
    return _code(DEPENDENCIES[part]).digest


def embedding_fingerprint(context: Context) -> str:
    """Fingerprints what embeddings come from, which outlive a change of the measures."""
    pretrained = context.run.fingerprint_of("pretrain")
    return fingerprint({"pretrain": pretrained, "code": part_code("embed")})


@functools.cache
def _code(dependencies: Dependencies) -> Code:
    return read_code(dependencies)


def _prepare(context: Context) -> dict[str, Any]:
    info = context.source.info()
    check_source(context.config, info)
    settings = dataclasses.asdict(preparation_settings(context.config.data))
    return {"source": info.fingerprint, **settings}


def _pretrain(context: Context) -> dict[str, Any]:
    config = context.config.model_dump(mode="json")
    keys = ("seed", "views", "second_views", "probe_views", "encoder", "method", "training")
    return {**training_images(context), **{key: config[key] for key in keys}}


def training_images(context: Context) -> dict[str, Any]:
    """Returns what decides the images and labels that training sees."""
    data = context.config.data
    code = context.run.entry("prepare").get("code")
    return {
        "dataset": context.run.details("prepare")["dataset_fingerprint"],
        # Of a data set that does not say which code prepared it, its settings have to do.
        **({"dataset_code": code_digest(code)} if code else {}),
        "image_size": data.image_size,
        "label_share": data.label_share,
        "label_seed": data.label_seed,
        "sampling": data.sampling,
        # Left out where they choose nothing.
        **({"training_rules": list(data.training_rules)} if data.training_rules else {}),
        **(
            {"training_images": data.training_images, "training_seed": data.training_seed}
            if data.training_images is not None
            else {}
        ),
    }


def _evaluate(context: Context) -> dict[str, Any]:
    return {
        "pretrain": context.run.fingerprint_of("pretrain"),
        "evaluation": context.config.evaluation.model_dump(mode="json"),
        "robustness_baseline": read_baseline(context.config.evaluation),
    }


def _export(context: Context) -> dict[str, Any]:
    return {
        "evaluate": context.run.fingerprint_of("evaluate"),
        "licence": context.config.data.licence,
        "export": context.config.export.model_dump(mode="json"),
    }


def _study(context: Context) -> dict[str, Any]:
    return {
        "source": earlier_fingerprint("prepare", step_values("prepare", context)),
        "configuration": context.config.model_dump(mode="json", exclude={"name"}),
    }


_INPUTS = {
    "prepare": _prepare,
    "pretrain": _pretrain,
    "evaluate": _evaluate,
    "export": _export,
    "study": _study,
}
