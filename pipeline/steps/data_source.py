"""From the configuration of the images to their source and the settings of their preparation."""

from __future__ import annotations

from typing import Any

from twofold.components.data.rules.image_rules import ImageRules
from twofold.components.data.rules.prepare_settings import DuplicateRules, PrepareSettings
from twofold.components.data.sources import build_source
from twofold.components.data.sources.base import Source
from twofold.components.data.sources.folder import EXTENSIONS, OTHER_EXTENSIONS
from twofold.pipeline.config import DataConfig

_TABLE_FIELDS = ("label", "key", "split", "group", "weight")


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
            "class_names": data.class_names,
        }
    elif data.source == "tfds":
        settings = {
            "name": data.tfds_name,
            "data_dir": data.tfds_dir,
            "splits": data.tfds_splits,
            "image_feature": data.image_field,
            "label_feature": data.label_field,
            "download": data.tfds_download,
            "manual_dir": data.tfds_manual_dir,
        }
    elif data.source == "listing":
        settings = {
            "path": data.path[0],
            "root": data.root,
            "path_column": data.image_field or "path",
            "class_names": data.class_names,
            **{f"{name}_column": getattr(data, f"{name}_field") for name in _TABLE_FIELDS},
        }
    elif data.source == "tfrecord":
        settings = {
            "path": data.path,
            "image_field": data.image_field,
            "class_names": data.class_names,
            **{f"{name}_field": getattr(data, f"{name}_field") for name in _TABLE_FIELDS},
        }
    else:
        convert = data.other_formats == "convert"
        settings = {
            "path": data.path,
            "group_pattern": data.group_pattern,
            "extensions": EXTENSIONS + OTHER_EXTENSIONS if convert else EXTENSIONS,
        }
    return build_source(data.source, **settings)


def preparation_settings(data: DataConfig) -> PrepareSettings:
    """Returns the settings that decide what is written from a source."""
    return PrepareSettings(
        test_share=data.test_share,
        split_seed=data.split_seed,
        validation_share=data.validation_share,
        max_reject_share=data.max_reject_share,
        images_per_shard=data.images_per_shard,
        shard_bytes=data.shard_bytes,
        images=ImageRules(
            min_side=data.min_side,
            max_pixels=data.max_pixels,
            one_colour=data.one_colour,
            other_formats=data.other_formats,
            stored_as=data.stored_as,
            stored_size=data.stored_size,
            jpeg_quality=data.jpeg_quality,
        ),
        duplicates=DuplicateRules(
            search=data.duplicates,
            bits=data.near_duplicate_bits,
            within=data.on_duplicate,
            leakage=data.on_leakage,
        ),
    )
