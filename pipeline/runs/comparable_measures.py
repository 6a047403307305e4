"""Comparable measures: whether a measure of two runs is of the same thing, or why it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twofold.components.evaluation.metric_catalogue import Basis
from twofold.components.evaluation.metrics import describe
from twofold.components.name_lists import list_names
from twofold.pipeline.runs.run_record import flat

# Sections and settings that a loss, or the accuracy of a method's own task, is a loss and accuracy
# of.
_TASK = (
    *("method", "views", "second_views", "probe_views"),
    *("data.image_size", "data.sampling", "data.label_share", "data.label_seed"),
    *("data.training_rules", "data.training_images", "data.training_seed"),
    *("training.batch_size", "training.labelled_batch_size", "training.accumulate"),
)
_CORRUPTIONS = (
    "evaluation.robustness",
    "evaluation.robustness_classifier",
    "evaluation.corruption_severities",
    "evaluation.corruption_images",
    "evaluation.corruption_seed",
    "evaluation.corrupted_tfds",
    "evaluation.robustness_baseline",
)
_STRENGTHS = ("evaluation.regularisation", "evaluation.regularisation_sweep")
_TEMPERATURE = "evaluation.neighbour_temperature"
_FINE_TUNING = (
    "evaluation.finetune_epochs",
    "evaluation.finetune_learning_rate",
    "evaluation.finetune_batch_size",
    "evaluation.finetune_views",
    "evaluation.finetune_layer_decay",
    "evaluation.finetune_head",
    "evaluation.label_fraction_seeds",
)
# How measures whose names begin so are taken; of several, the first counts.
_PROTOCOLS = (
    (
        "recipe_probe/",
        (
            "evaluation.probe_epochs",
            "evaluation.probe_schedule_epochs",
            "evaluation.probe_learning_rate",
            "evaluation.probe_batch_size",
            "evaluation.probe_last_batch",
            "evaluation.probe_optimizer",
            "evaluation.probe_penalty",
            "evaluation.probe_initializer",
            "evaluation.probe_reads",
        ),
    ),
    ("linear_probe", _STRENGTHS),
    ("label_fraction/", (*_STRENGTHS, "evaluation.label_fraction_seeds")),
    ("knn/", ("evaluation.neighbours", "evaluation.neighbour_sweep", _TEMPERATURE)),
    ("finetune", _FINE_TUNING),
    ("robustness/", _CORRUPTIONS),
    ("teacher/robustness/", _CORRUPTIONS),
    ("embedding/alignment", ("views", "second_views")),
    ("embedding/uniformity", ("evaluation.measured_images",)),
    ("clustering/", ("evaluation.measured_images",)),
    ("retrieval/", ("evaluation.measured_images",)),
)

IMAGES = "test images"


@dataclass(frozen=True)
class Measured:
    """What was measured, and on what.

    Attributes:
        configuration: of the run, as it was recorded.
        data: the fingerprint of its data set; None where that is not known.
        split: that measures were taken on.
        images: how many it has.
        deciding: how many images were cut from the training images to decide during training.

    """

    configuration: Mapping[str, Any]
    data: str | None
    split: str | None
    images: int
    deciding: int = 0


def differing_conditions(measure: str, first: Measured, other: Measured) -> list[str]:
    """Names what differs of all that a measure depends on besides what was trained.

    Args:
        measure: its name.
        first: one run.
        other: the other.

    Returns:
        Keys of settings, and ``IMAGES`` or "training images"; none where it is the same thing.

    """
    here, there = (_conditions(measure, one) for one in (first, other))
    return [key for key in here | there if here.get(key) != there.get(key)]


def why_not_compared(measure: str, first: Measured, other: Measured) -> str:
    """Says why a measure is not the same thing in two runs; empty where it is."""
    differing = differing_conditions(measure, first, other)
    return f"other {list_names(differing, 3)}" if differing else ""


def _conditions(measure: str, of: Measured) -> dict[str, Any]:
    basis = describe(measure).basis
    if basis is Basis.NOTHING:
        return {}
    if basis is Basis.TASK:
        keys: tuple[str, ...] = _TASK
        conditions: dict[str, Any] = {"training images": (of.data, of.deciding)}
    else:
        keys = next((keys for prefix, keys in _PROTOCOLS if measure.startswith(prefix)), ())
        conditions = {IMAGES: (of.data, of.split, of.images)}
        if measure.startswith("pretrain/validation/"):
            conditions["deciding images"] = of.deciding
    settings = dict(flat(of.configuration))
    return conditions | {
        key: value
        for key, value in settings.items()
        if any(key == one or key.startswith(f"{one}.") for one in keys)
    }
