"""Checks of settings against a data set before a long step begins, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twofold.components.data.sources.source import SourceInfo
from twofold.components.data.store.manifest import Manifest
from twofold.components.errors import DataError, UnfitSettingsError
from twofold.pipeline.config import EvaluationConfig, RunConfig
from twofold.pipeline.training.stage_configs import stage_configs

_HELD_OUT = ("test", "validation")
# Names of classes that a message shows.
_LISTED = 10


def check_source(config: RunConfig, info: SourceInfo) -> None:
    """Refuses settings that name what the source does not have.

    Raises:
        UnfitSettingsError: if ``evaluation.rsm_latent`` or one of ``study.rsm_latents`` is none of
            the source's latents.

    """
    named = {} if config.study is None else {"study.rsm_latents": config.study.rsm_latents}
    if config.evaluation.rsm_latent is not None:
        named["evaluation.rsm_latent"] = (config.evaluation.rsm_latent,)
    for key, latents in named.items():
        for latent in latents:
            if latent not in info.latent_names:
                known = ", ".join(info.latent_names) or "none"
                raise UnfitSettingsError(
                    f"{key}={latent!r} is no latent of the data set: expected {known}"
                )


def find_held_out_split(manifest: Manifest) -> str | None:
    """Returns the split that measures are taken on, or None where there is no such split."""
    return next((name for name in _HELD_OUT if name in manifest.splits), None)


def held_out_split(manifest: Manifest) -> str:
    """Returns the split that measures are taken on: test, or validation where there is no test.

    Raises:
        DataError: if the data set has neither.

    """
    name = find_held_out_split(manifest)
    if name is not None:
        return name
    raise DataError(
        f"{manifest.name} has no held-out images: expected a split {' or '.join(_HELD_OUT)}, found "
        f"{', '.join(manifest.splits)} (data.test_share={manifest.settings['test_share']:g} holds "
        f"out of the images whose folders name no split)"
    )


def check_trainable(config: RunConfig, manifest: Manifest) -> None:
    """Refuses what needs labels or images which the data set does not have, or of another size.

    Raises:
        SettingsError: naming the field.

    """
    side = config.data.image_size
    sizes = [f"{side}x{side}"] if side is not None else list(manifest.image_sizes)
    if len(sizes) == 1:
        height, width = map(int, sizes[0].split("x"))
        config.method.check_image(config.encoder, height, width)
    train = manifest.splits.get("train")
    labelled = sum(1 for count in train.labels.values() if count) if train else 0
    if config.method.needs_labels and labelled < 2:
        raise UnfitSettingsError(
            f"method.name={config.method.name} learns from labels: expected training images of at "
            f"least two classes in {manifest.name}, found {labelled}"
        )
    if config.training.labelled_batch_size is not None and not labelled:
        raise UnfitSettingsError(
            f"training.labelled_batch_size={config.training.labelled_batch_size} needs training "
            f"images with a label, and {manifest.name} has none"
        )
    for prefix, stage in stage_configs(config).items():
        for rule in ("plateau", "early_stopping", "keep_best"):
            if getattr(stage.training, rule) is None:
                continue
            validation = manifest.splits.get("validation")
            if labelled < 2 or validation is None or not any(validation.labels.values()):
                raise UnfitSettingsError(
                    f"{prefix}.{rule} goes by labelled validation images, which {manifest.name} "
                    f"does not have: expected data.validation_share above 0, or a folder val/"
                )


def check_measurable(config: RunConfig, manifest: Manifest) -> None:
    """Refuses a data set on which no encoder could be measured as configured.

    Raises:
        DataError: if it has no held-out images; or if it has several classes, of which the training
            images have one or the held-out images none.
        UnfitSettingsError: if measures of classes are configured, and it has none.

    """
    held_out = held_out_split(manifest)
    if len(manifest.class_names) < 2:
        _check_classless(config.evaluation, manifest)
        return
    train = manifest.splits.get("train")
    trained = [name for name, count in train.labels.items() if count] if train else []
    if len(trained) < 2:
        raise DataError(
            f"{manifest.name} has {len(manifest.class_names)} classes: expected training images "
            f"of at least two, found {' and '.join(trained) or 'none'}"
        )
    if not any(manifest.splits[held_out].labels.values()):
        raise DataError(
            f"{manifest.name} has {len(manifest.class_names)} classes: expected labels in the "
            f"held-out split {held_out}, found none"
        )


def _check_classless(evaluation: EvaluationConfig, manifest: Manifest) -> None:
    """Refuses measures of classes where there are none.

    ``evaluation.finetune_epochs`` and ``evaluation.robustness`` are refused by their measures.
    """
    for key in ("label_fractions", "baselines"):
        value = getattr(evaluation, key)
        if value:
            raise UnfitSettingsError(
                f"evaluation.{key}={list(value)} needs images of at least two classes, and "
                f"{manifest.name} has {len(manifest.class_names)}: expected evaluation.{key}=[]"
            )


def check_kept_labels(
    evaluation: EvaluationConfig, labels: np.ndarray, class_names: Sequence[str]
) -> None:
    """Refuses settings that leave training images too few labels to measure an encoder by.

    Args:
        evaluation: the measures.
        labels: int32 [N], of the training images that are chosen; -1 for none.
        class_names: of the data set, at least two.

    Raises:
        UnfitSettingsError: if they are of one class, or fewer than the neighbours that
            ``asked_neighbours`` finds.

    """
    known = labels[labels >= 0]
    present = [class_names[label] for label in np.unique(known)]
    if len(present) < 2:
        raise UnfitSettingsError(
            f"data.training_rules and data.training_images leave labels of "
            f"{' and '.join(present) or 'no class'} among the training images: expected at least "
            f"two of {', '.join(class_names[:_LISTED])}"
        )
    for setting, most in asked_neighbours(evaluation).items():
        if most > len(known):
            raise UnfitSettingsError(
                f"{setting}: expected at most {len(known)}, the training images with a label"
            )


def asked_neighbours(evaluation: EvaluationConfig) -> dict[str, int]:
    """Gives the most neighbours that a setting asks for other than by default, by the setting.

    The defaults are meant for images of any number, and take all where there are fewer.
    """
    usual = EvaluationConfig()
    asked = {}
    if evaluation.neighbours != usual.neighbours:
        asked[f"evaluation.neighbours={evaluation.neighbours}"] = evaluation.neighbours
    more = set(evaluation.neighbour_sweep) - set(usual.neighbour_sweep)
    if more:
        asked[f"evaluation.neighbour_sweep={list(evaluation.neighbour_sweep)}"] = max(more)
    return asked
