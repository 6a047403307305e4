"""Methods built from a configuration, and their projectors rebuilt from checkpoints."""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path

import keras

from twofold.components.encoders.layers.recomputation import recompute_activations
from twofold.components.methods import build
from twofold.components.methods.automatic import Choice, TrainingSize
from twofold.components.methods.build import ImageShape, build_method_projector
from twofold.components.methods.settings import METHODS, MethodSettings
from twofold.components.training.method import Method
from twofold.components.training.resuming.weights_files import read_description, read_final
from twofold.components.transforms.policies import build_view
from twofold.pipeline.config import RunConfig

# Of ``model.json``: what settings have become that were left at null.
CHOICES = "automatic"


@dataclasses.dataclass(frozen=True)
class ChosenMethod:
    """A method, and what its settings have become that were left at null.

    Attributes:
        method: with its networks.
        settings: of the method, without null where it stands for a choice.
        choices: what was chosen, and why.
        size: what it was chosen by.

    """

    method: Method
    settings: MethodSettings
    choices: tuple[Choice, ...]
    size: TrainingSize


def build_method(
    config: RunConfig,
    image_shape: ImageShape,
    classes: int,
    steps: int,
    teacher: Path | None = None,
) -> Method:
    """Builds a method for which the number of training images does not matter.

    See ``choose_and_build_method``.
    """
    return choose_and_build_method(config, image_shape, classes, steps, teacher).method


def choose_and_build_method(
    config: RunConfig,
    image_shape: ImageShape,
    classes: int,
    steps: int,
    teacher: Path | None = None,
    *,
    images: int = sys.maxsize,
    batches: tuple[int, ...] = (),
    begun_steps: int | None = None,
) -> ChosenMethod:
    """Builds a method with its networks; do so in the strategy's scope.

    Args:
        config: of the run.
        image_shape: (H, W, C) of the images.
        classes: K, how many classes the labels have.
        steps: of the whole training.
        teacher: checkpoint directory of a finished teacher, for a method that has one.
        images: how many are trained on.
        batches: see ``twofold.components.methods.automatic.TrainingSize``; empty for those of
            ``training.batch_size`` alone.
        begun_steps: of a training that was continued, as it began, by which choices are made.

    Raises:
        ValueError: if the images do not fit the encoder or the decoder.
        SettingsError: if activations cannot be recomputed.

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
        images=images,
        batches=batches or (config.training.batch_size // config.training.accumulate,),
        accumulate=config.training.accumulate,
        begun_steps=begun_steps,
        read_teacher=None if teacher is None else functools.partial(read_final, teacher),
    )
    parts = build.Parts(config.method, context)
    method = build.assemble(parts)
    if config.training.recompute_activations and config.method.calls_encoder:
        recompute_activations(method.models["encoder"])
    return ChosenMethod(method, parts.resolved, parts.choices, parts.size)


def draws_repeat(config: RunConfig) -> bool:
    """Tells whether a batch may hold an image several times: it is drawn with replacement."""
    return config.data.sampling != "uniform"


def read_chosen_settings(settings: MethodSettings, checkpoints: Path) -> MethodSettings:
    """Returns a method's settings with what a training has chosen in place of null.

    Args:
        settings: of the run.
        checkpoints: of the training.

    """
    chosen = read_description(checkpoints).get(CHOICES, {})
    values = settings.model_dump(mode="json")
    return METHODS.validate({**values, **{key: one["value"] for key, one in chosen.items()}})


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
    settings = read_chosen_settings(config.method, checkpoints)
    projector = build_method_projector(settings, config.encoder, features, config.seed)
    if projector is not None:
        read_final(checkpoints, {"projector": projector})
    return projector
