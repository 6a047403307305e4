"""Effects of ``data``, and of what it shares with the evaluation."""

from __future__ import annotations

from typing import Any

from twofold.pipeline.config.effects.effect import Effect


def _label_subsets(config: Any) -> bool:
    shares = (config.evaluation.label_fractions, config.evaluation.finetune_label_fractions)
    return config.data.label_share < 1 or any(shares)


DATA = (
    Effect(
        ("label_latent",),
        lambda data, _: getattr(data.source, "label_field", None) is None,
        "data.label_field=null",
    ),
    Effect(
        ("split_seed",),
        lambda data, _: data.test_share > 0 or data.validation_share > 0,
        "data.test_share or data.validation_share above 0",
    ),
    Effect(
        ("test_share",),
        lambda data, _: getattr(data.source, "permuted_split", None) is None,
        "data.permuted_split=null",
    ),
    Effect(
        ("label_seed",),
        lambda _, config: _label_subsets(config),
        "data.label_share below 1, evaluation.label_fractions or "
        "evaluation.finetune_label_fractions",
    ),
    Effect(
        ("training_seed",),
        lambda data, _: data.training_images is not None,
        "data.training_images",
    ),
    Effect(
        # What earlier versions recorded of `other_formats` is forgotten where it is read.
        ("animated",),
        lambda data, _: data.source.reads_files,
        "a data.source that reads image files, such as folder",
    ),
    Effect(("jpeg_quality",), lambda data, _: data.stored_as == "jpeg", "data.stored_as=jpeg"),
    Effect(
        ("near_duplicate_bits",), lambda data, _: data.duplicates == "near", "data.duplicates=near"
    ),
    Effect(
        ("on_duplicate", "on_leakage"),
        lambda data, _: data.duplicates != "off",
        "data.duplicates=near or exact",
    ),
)
