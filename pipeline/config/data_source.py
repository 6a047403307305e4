"""Data source and preparation settings, from the configuration of the images."""

from __future__ import annotations

from twofold.components.data.rules.image_rules import ImageRules
from twofold.components.data.rules.prepare_settings import DuplicateRules, PrepareSettings
from twofold.components.data.sources.source import Source
from twofold.pipeline.config import DataConfig


def build_data_source(data: DataConfig) -> Source:
    """Builds the source that the configuration names."""
    return data.source.build()


def preparation_settings(data: DataConfig) -> PrepareSettings:
    """Returns the settings that decide what is written from a source."""
    return PrepareSettings(
        test_share=data.test_share,
        split_seed=data.split_seed,
        validation_share=data.validation_share,
        max_reject_share=data.max_reject_share,
        images_per_shard=data.images_per_shard,
        shard_bytes=data.shard_bytes,
        full_check=data.full_check,
        images=ImageRules(
            min_side=data.min_side,
            max_pixels=data.max_pixels,
            one_colour=data.one_colour,
            # Arrays have no format, and data sets made of them were known by this before.
            other_formats=data.other_formats if data.source.reads_files else "reject",
            animated=data.animated,
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
