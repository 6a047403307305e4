"""Methods built from a configuration, and their projectors rebuilt from checkpoints."""

from __future__ import annotations

import functools
from pathlib import Path

import keras

from twofold.components.methods import build
from twofold.components.methods.build import ImageShape, build_method_projector
from twofold.components.training.checkpoint import read_final
from twofold.components.training.method import Method
from twofold.components.transforms.policies import build_view
from twofold.pipeline.config import RunConfig


def build_method(
    config: RunConfig,
    image_shape: ImageShape,
    classes: int,
    steps: int,
    teacher: Path | None = None,
) -> Method:
    """Builds a method with its networks; do so in the strategy's scope.

    Args:
        config: of the run.
        image_shape: (H, W, C) of the images.
        classes: K, how many classes the labels have.
        steps: of the whole training.
        teacher: checkpoint directory of a finished teacher, for a method that has one.

    Raises:
        ValueError: if the images do not fit the encoder or the decoder.

    """
    policies = config.method.choose_policies(config.views, config.second_views)
    context = build.MethodContext(
        encoder=config.encoder,
        views=[build_view(view, config.seed) for view in policies],
        image_shape=image_shape,
        classes=classes,
        steps=steps,
        seed=config.seed,
        compile_views=config.training.compile != "none",
        repeats=draws_repeat(config),
        read_teacher=None if teacher is None else functools.partial(read_final, teacher),
    )
    return build.build_method(config.method, context)


def draws_repeat(config: RunConfig) -> bool:
    """Tells whether a batch may hold an image several times: it is drawn with replacement."""
    return config.data.sampling != "uniform"


def rebuild_projector(
    config: RunConfig, encoder: keras.Model, checkpoints: Path
) -> keras.Model | None:
    """Rebuilds the projector that training ended with, in float32.

    Args:
        config: of the run.
        encoder: what it projects the features of.
        checkpoints: of the run.

    Returns:
        Features [B, D] to projections [B, P]; None where the method has no projector, or one
        without a layer.

    Raises:
        CheckpointError: if the checkpoints do not hold it.

    """
    features = encoder.output_shape[-1]
    projector = build_method_projector(config.method, config.encoder, features, config.seed)
    if projector is not None:
        read_final(checkpoints, {"projector": projector})
    return projector
