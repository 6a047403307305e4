"""Check of the steps after training, before it begins."""

from __future__ import annotations

import numpy as np

from twofold.components.data.reading.label_subset import keep_labels
from twofold.components.data.store.manifest import Manifest
from twofold.components.export.convert.conversion import require_packages
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.checks.data_checks import (
    asked_neighbours,
    check_kept_labels,
    check_measurable,
)
from twofold.pipeline.steps.measures.fine_tuning_measure import check_finetune
from twofold.pipeline.steps.measures.robustness_measure import plan_robustness
from twofold.pipeline.training.prepared_images import load_training_splits


def check_later_steps(context: Context) -> None:
    """Refuses to train what could not be evaluated or exported as configured.

    Raises:
        DataError: if no measure could be taken, or files that measures need do not serve.
        UnfitSettingsError: if a measure does not fit the data set.
        ConversionError: if a package is missing that a format needs.

    """
    manifest = context.manifest()
    check_measurable(context.config, manifest)
    plan_robustness(context, manifest)
    check_finetune(context, manifest)
    require_packages(context.config.export.formats)
    _check_labels(context, manifest)


def _check_labels(context: Context, manifest: Manifest) -> None:
    """Looks at the labels that are left, where settings choose among the training images."""
    data, evaluation = context.config.data, context.config.evaluation
    chosen = data.training_rules or data.training_images is not None
    if len(manifest.class_names) < 2 or not (chosen or asked_neighbours(evaluation)):
        return
    # No image is decoded for its label.
    splits = load_training_splits(context, manifest, cache="off").values()
    labels = [keep_labels(one, data.label_share, data.label_seed).labels for one in splits]
    check_kept_labels(evaluation, np.concatenate(labels), manifest.class_names)
