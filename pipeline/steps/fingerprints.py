"""What each step is made from, as fingerprints: equal inputs mean that finished work is reused.

Nothing here needs TensorFlow, so that a run that has nothing to do ends at once.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import fingerprint
from twofold.pipeline.steps.checks import check_source
from twofold.pipeline.steps.data_source import preparation_settings
from twofold.pipeline.steps.measures.robustness_baseline import read_baseline

# Of what a step makes of its inputs: another number makes finished work count as old.
_VERSIONS = {"prepare": 1, "pretrain": 1, "evaluate": 1, "export": 2}


def step_inputs(step: str, context: Context) -> str:
    """Fingerprints what a step is made from, when the steps before it are done."""
    return fingerprint({"step": f"{step}-{_VERSIONS[step]}", **_INPUTS[step](context)})


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
    return {
        "dataset": context.run.details("prepare")["dataset_fingerprint"],
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


_INPUTS = {"prepare": _prepare, "pretrain": _pretrain, "evaluate": _evaluate, "export": _export}
