"""What can be refused before a long step begins, and without TensorFlow."""

from __future__ import annotations

from components.data.errors import DataError
from components.data.manifest import Manifest
from components.data.sources.base import SourceInfo
from pipeline.config import RunConfig

_HELD_OUT = ("test", "validation")


def check_source(config: RunConfig, info: SourceInfo) -> None:
    """Refuses settings that name what the source does not have.

    Raises:
        DataError: if ``evaluation.rsm_latent`` is none of the source's latents.

    """
    latent = config.evaluation.rsm_latent
    if latent is not None and latent not in info.latent_names:
        known = ", ".join(info.latent_names) or "none"
        raise DataError(
            f"evaluation.rsm_latent={latent!r} is no latent of the data set: expected {known}"
        )


def held_out_split(manifest: Manifest) -> str:
    """Returns the split that measures are taken on: test, or validation where there is no test.

    Raises:
        DataError: if the data set has neither.

    """
    for name in _HELD_OUT:
        if name in manifest.splits:
            return name
    raise DataError(
        f"{manifest.name} has no held-out images: expected a split {' or '.join(_HELD_OUT)}, found "
        f"{', '.join(manifest.splits)} (data.test_share={manifest.settings.test_share:g} holds out "
        f"of the images whose folders name no split)"
    )


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
