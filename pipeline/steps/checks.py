"""Checks before a long step begins, without TensorFlow."""

from __future__ import annotations

from twofold.components.data.sources.source import SourceInfo
from twofold.components.data.store.manifest import Manifest
from twofold.components.errors import DataError
from twofold.pipeline.config import RunConfig, TrainingSettings

_HELD_OUT = ("test", "validation")


def check_source(config: RunConfig, info: SourceInfo) -> None:
    """Refuses settings that name what the source does not have.

    Raises:
        DataError: if ``evaluation.rsm_latent`` or one of ``study.rsm_latents`` is none of the
            source's latents.

    """
    named = {} if config.study is None else {"study.rsm_latents": config.study.rsm_latents}
    if config.evaluation.rsm_latent is not None:
        named["evaluation.rsm_latent"] = (config.evaluation.rsm_latent,)
    for key, latents in named.items():
        for latent in latents:
            if latent not in info.latent_names:
                known = ", ".join(info.latent_names) or "none"
                raise DataError(f"{key}={latent!r} is no latent of the data set: expected {known}")


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
    """Refuses a method or a rule that needs labels or images which the data set does not have.

    Raises:
        DataError: naming the field.

    """
    train = manifest.splits.get("train")
    labelled = sum(1 for count in train.labels.values() if count) if train else 0
    if config.method.needs_labels and labelled < 2:
        raise DataError(
            f"method.name={config.method.name} learns from labels: expected training images of at "
            f"least two classes in {manifest.name}, found {labelled}"
        )
    if config.training.labelled_batch_size is not None and not labelled:
        raise DataError(
            f"training.labelled_batch_size={config.training.labelled_batch_size} needs training "
            f"images with a label, and {manifest.name} has none"
        )
    for prefix, training in _trainings(config):
        for rule in ("plateau", "early_stopping"):
            if getattr(training, rule) is None:
                continue
            validation = manifest.splits.get("validation")
            if labelled < 2 or validation is None or not any(validation.labels.values()):
                raise DataError(
                    f"{prefix}.{rule} goes by labelled validation images, which {manifest.name} "
                    f"does not have: expected data.validation_share above 0, or a folder val/"
                )


def _trainings(config: RunConfig) -> list[tuple[str, TrainingSettings]]:
    trainings = [("training", config.training)]
    teacher = config.method.teacher_stage
    if teacher is not None:
        trainings.append(("method.teacher.training", teacher.training))
    return trainings


def check_measurable(manifest: Manifest) -> None:
    """Refuses a data set on which no encoder could be measured.

    Raises:
        DataError: if it has no held-out images; or if it has several classes, of which the training
            images have one or the held-out images none.

    """
    held_out = held_out_split(manifest)
    if len(manifest.class_names) < 2:
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
