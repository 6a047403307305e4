"""What each step is made from, as fingerprints: equal inputs mean that finished work is reused.

Nothing here needs TensorFlow, so that a run that has nothing to do ends at once.
"""

from __future__ import annotations

from typing import Any

from components.data.sources import build_source
from components.data.sources.base import Source
from pipeline.artifacts import fingerprint
from pipeline.config import DataConfig
from pipeline.steps.checks import check_source
from pipeline.steps.context import Context


def build_data_source(data: DataConfig) -> Source:
    """Builds the source that the configuration names."""
    settings: dict[str, Any]
    if data.source == "dsprites":
        settings = {"images": data.images}
    elif data.source == "npz":
        settings = {
            "path": data.path[0],
            "image_field": data.image_field,
            "label_field": data.label_field,
            "latents_field": data.latents_field,
            "latent_names": data.latent_names,
            "label_latent": data.label_latent,
        }
    elif data.source == "tfds":
        settings = {
            "name": data.tfds_name,
            "data_dir": data.tfds_dir,
            "splits": data.tfds_splits,
            "image_feature": data.image_field,
            "label_feature": data.label_field,
            "download": data.tfds_download,
        }
    else:
        settings = {"path": data.path}
    return build_source(data.source, **settings)


def preparation_settings(data: DataConfig) -> dict[str, Any]:
    """Returns the settings that decide what is written from a source."""
    return {
        "test_share": data.test_share,
        "split_seed": data.split_seed,
        "validation_share": data.validation_share,
        "max_reject_share": data.max_reject_share,
        "images_per_shard": data.images_per_shard,
    }


def step_inputs(step: str, context: Context) -> str:
    """Fingerprints what a step is made from, when the steps before it are done."""
    return fingerprint({"step": f"{step}-1", **_INPUTS[step](context)})


def _prepare(context: Context) -> dict[str, Any]:
    data = context.config.data
    info = build_data_source(data).info()
    check_source(context.config, info)
    return {"source": info.fingerprint, **preparation_settings(data)}


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
    }


def _evaluate(context: Context) -> dict[str, Any]:
    return {
        "pretrain": context.run.fingerprint_of("pretrain"),
        "evaluation": context.config.evaluation.model_dump(mode="json"),
    }


def _export(context: Context) -> dict[str, Any]:
    return {"evaluate": context.run.fingerprint_of("evaluate")}


_INPUTS = {"prepare": _prepare, "pretrain": _pretrain, "evaluate": _evaluate, "export": _export}
