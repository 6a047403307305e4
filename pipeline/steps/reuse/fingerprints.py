"""Fingerprints of each step: equal inputs and code let finished work be reused.

Nothing here needs TensorFlow, so that a run that has nothing to do ends at once.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.encoders.settings import ENCODERS
from twofold.components.errors import ConfigError
from twofold.components.methods.settings import METHODS, MethodSettings
from twofold.components.settings import Implemented, Section
from twofold.components.training.continuing.influence import (
    FREE,
    UNSEEN,
    Influence,
    fill,
    select,
)
from twofold.components.training.continuing.weight_source import check_torch_file
from twofold.components.transforms.settings import VIEWS
from twofold.pipeline.config import EvaluationConfig, RunConfig, override, parse_config
from twofold.pipeline.config.data_source import preparation_settings
from twofold.pipeline.config.study import encoders_of
from twofold.pipeline.runs.code_fingerprint import Code, Dependencies, code_digest, read_code
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import fingerprint
from twofold.pipeline.steps.checks.data_checks import check_source
from twofold.pipeline.steps.reuse.dependencies import DEPENDENCIES
from twofold.pipeline.steps.reuse.start_source import START, start_of, start_values
from twofold.pipeline.steps.robustness_baseline import read_baseline

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


def settings_seen(config: RunConfig) -> dict[str, Any]:
    """Returns the settings that change more than the last digits of a result, as plain values."""
    return select(config, {Influence.WEIGHTS, Influence.COURSE})


def _settings_begun_with(config: RunConfig) -> dict[str, Any]:
    """Returns the same without those by which a training may go on in another way."""
    training = select(config.training, {Influence.WEIGHTS})
    # Those weights are known by their content, wherever they are.
    del training[START]
    return settings_seen(config) | {"training": training}


def earlier_fingerprint(step: str, values: Mapping[str, Any]) -> str:
    """Fingerprints inputs alone, as was done before code was part of a step's fingerprint."""
    return fingerprint({"step": _EARLIER[step], **values})


def data_set_name(context: Context) -> str:
    """Names the data set of a run's images by all that decides what is in it.

    How much may be rejected decides nothing, and a preparation that found too much is gone on with
    when more is allowed.
    """
    values = step_values("prepare", context)
    values["max_reject_share"] = PrepareSettings().max_reject_share
    return f"{context.config.data.source.name}-{earlier_fingerprint('prepare', values)}"


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
    filled = fill_settings(recorded.get("configuration", sections), config)
    if filled is None:
        return False
    if "configuration" in recorded:
        return {**recorded, "configuration": _without_name(settings_seen(filled))} == now
    begun_with = _settings_begun_with(filled)
    return {**recorded, **{name: begun_with[name] for name in sections}} == now


def fill_settings(recorded: Mapping[str, Any], config: RunConfig) -> RunConfig | None:
    """Returns the settings that something was made by, of which some were not recorded.

    Args:
        recorded: of ``step_values``.
        config: of now, whose values those have that a result does not depend on.

    Returns:
        The settings; those that were added since have their defaults. None where they are another
        version's.

    """
    unseen = select(config, UNSEEN)
    unseen |= {"training": select(config.training, FREE)}
    whole = config.model_dump(mode="json")
    try:
        return parse_config(whole | fill(recorded, unseen), "run.json", recorded=True)
    except ConfigError:
        return None


def step_dependencies(step: str, context: Context) -> Dependencies:
    """Returns what the result of a step, or of a part of one, depends on in code.

    To the roots that ``DEPENDENCIES`` names, the implementations of what the run has chosen are
    added: its source, or its method, encoder and views, wherever they are defined.
    """
    found, config, chosen = DEPENDENCIES[step], context.config, set[str]()
    if step in ("prepare", "study"):
        chosen |= {type(context.source).__module__, *_chosen(config.data)}
    if step == "study":
        # Its encoders choose their own.
        known = (*METHODS.every(), *ENCODERS.every(), *VIEWS.every())
        chosen |= {name for settings in known for name in _modules_of(settings)}
    elif step != "prepare":
        parts = (config.method, config.encoder, config.views, config.second_views)
        chosen |= {name for part in (*parts, config.probe_views) for name in _chosen(part)}
    if step in ("evaluate", "finetune", "export"):
        chosen |= {*_chosen(config.evaluation)}
    return dataclasses.replace(found, roots=tuple(sorted({*found.roots, *chosen})))


def _chosen(value: Any) -> Iterator[str]:
    """Names the modules of what settings choose between, at any depth."""
    if isinstance(value, tuple):
        for each in value:
            yield from _chosen(each)
    if isinstance(value, Section):
        if isinstance(value, Implemented):
            yield from _modules_of(type(value))
        for name in type(value).model_fields:
            yield from _chosen(getattr(value, name))


def _modules_of(settings: type[Implemented]) -> Iterator[str]:
    yield settings.__module__
    for named in (settings.implementation, getattr(settings, "torch_weights", "")):
        if named:
            yield named.partition(":")[0]


def step_code(step: str, context: Context) -> Code:
    """Returns the code that the result of a step depends on, as this process found it first."""
    return _code(step_dependencies(step, context))


def step_facts(step: str, context: Context) -> dict[str, Any]:
    """Returns what is recorded of what a step is made from, besides its fingerprint."""
    return {"inputs": step_values(step, context), **code_facts(step_code(step, context))}


def code_facts(code: Code) -> dict[str, Any]:
    """Returns what is recorded of code."""
    return {"code": dict(code.modules), "source": code.source}


def part_code(part: str, context: Context) -> str:
    """Returns 16 hexadecimal digits of the code of a part that is kept by itself."""
    return _code(step_dependencies(part, context)).digest


def embedding_fingerprint(context: Context) -> str:
    """Fingerprints what embeddings come from, which outlive a change of the measures."""
    pretrained = context.run.fingerprint_of("pretrain")
    return fingerprint({"pretrain": pretrained, "code": part_code("embed", context)})


@functools.cache
def _code(dependencies: Dependencies) -> Code:
    return read_code(dependencies)


def _prepare(context: Context) -> dict[str, Any]:
    info = context.source.info()
    check_source(context.config, info)
    settings = dataclasses.asdict(preparation_settings(context.config.data))
    # It decides what is read, not what comes of it.
    del settings["full_check"]
    return {"source": info.fingerprint, **settings}


def _pretrain(context: Context) -> dict[str, Any]:
    config = _settings_begun_with(context.config)
    keys = ("seed", "views", "second_views", "probe_views", "encoder", "method", "training")
    return {
        **training_images(context),
        **{key: config[key] for key in keys},
        **_weights(context.config.method),
        **start_values(context),
    }


def _weights(method: MethodSettings) -> dict[str, Any]:
    """Fingerprints the content of the file that weights are read from, if there is one.

    Raises:
        ConfigError: if there is no such file, or it is no PyTorch file.

    """
    if method.weights_file is None:
        return {}
    check_torch_file("method.weights", method.weights_file)
    with Path(method.weights_file).expanduser().open("rb") as file:
        return {"weights": hashlib.file_digest(file, "sha256").hexdigest()}


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
        **_corrupted(context.config.evaluation),
    }


def _export(context: Context) -> dict[str, Any]:
    return {
        "evaluate": context.run.fingerprint_of("evaluate"),
        "licence": context.config.data.licence,
        "export": context.config.export.model_dump(mode="json"),
    }


def _study(context: Context) -> dict[str, Any]:
    alone = context.config.model_copy(update={"study": None})
    encoders = {} if context.config.study is None else encoders_of(context.config.study)
    read = {name: _files_of(override(alone, list(own))) for name, own in encoders.items()}
    return {
        "source": earlier_fingerprint("prepare", step_values("prepare", context)),
        "configuration": _without_name(settings_seen(context.config)),
        **({"files": read} if any(read.values()) else {}),
    }


def _without_name(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "name"}


def _files_of(config: RunConfig) -> dict[str, Any]:
    """Returns what a run's steps are made from that lies in files beside its data set."""
    baseline = read_baseline(config.evaluation)
    return {
        **_weights(config.method),
        **start_of(config),
        **_corrupted(config.evaluation),
        **({} if baseline is None else {"robustness_baseline": baseline}),
    }


def _corrupted(evaluation: EvaluationConfig) -> dict[str, Any]:
    """Fingerprints a folder of published corruptions by names, sizes and descriptions."""
    if evaluation.corrupted_tfds is None:
        return {}
    folder = Path(evaluation.corrupted_tfds).expanduser()
    content = [
        (
            path.relative_to(folder).as_posix(),
            path.stat().st_size,
            path.read_text(encoding="utf-8") if path.suffix == ".json" else "",
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return {"corrupted": fingerprint({"content": content})}


_INPUTS = {
    "prepare": _prepare,
    "pretrain": _pretrain,
    "evaluate": _evaluate,
    "export": _export,
    "study": _study,
}
