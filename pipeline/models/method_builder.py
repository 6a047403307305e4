"""From a configuration to the method that trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from twofold.components.encoders.decoder import build_decoder
from twofold.components.encoders.heads import (
    build_gaussian_head,
    build_linear_head,
    build_predictor,
    build_projector,
)
from twofold.components.methods import METHODS
from twofold.components.methods.generative.k_means import PatchMoments
from twofold.components.methods.method import Method
from twofold.components.methods.queue import SupportQueue
from twofold.components.training.checkpoint import read_final
from twofold.components.transforms.policies import randaugment_noise
from twofold.components.transforms.views import ViewFunction
from twofold.pipeline.config import CoreConfig, EncoderConfig, RunConfig, SimSiamConfig
from twofold.pipeline.models.build import ImageShape, build_configured_encoder, build_view


@dataclasses.dataclass(frozen=True)
class MethodContext:
    """What a method is built from besides the configuration.

    Attributes:
        image_shape: (H, W, C) of the images.
        classes: K, how many classes the labels have.
        steps: of the whole training.
        teacher: checkpoint directory of a finished teacher, for self-training.

    """

    image_shape: ImageShape
    classes: int
    steps: int
    teacher: Path | None = None


def build_method(config: RunConfig, context: MethodContext) -> Method:
    """Builds a method with its networks; do so in the strategy's scope.

    Raises:
        ValueError: if the images do not fit the encoder or the decoder.

    """
    encoder = build_configured_encoder(config.encoder, context.image_shape, config.seed)
    name = config.method.name
    parts = _PARTS[name](config, context, encoder)
    return METHODS[name](encoder=encoder, compile_views=config.training.compile != "none", **parts)


def _two_views(config: RunConfig) -> tuple[ViewFunction, ViewFunction]:
    first = build_view(config.views)
    return first, first if config.second_views is None else build_view(config.second_views)


def _projector(config: RunConfig, encoder: keras.Model) -> keras.Model:
    method: Any = config.method
    return build_projector(
        encoder.output_shape[-1],
        seed=config.seed,
        units=method.projector,
        batch_norm=method.projector_batch_norm,
        output_batch_norm=isinstance(method, SimSiamConfig),
        initializer=config.encoder.initializer,
    )


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
    if not getattr(config.method, "projector", ()):
        return None
    projector = _projector(config, encoder)
    read_final(checkpoints, {"projector": projector})
    return projector


def _siamese(config: RunConfig, encoder: keras.Model, *settings: str) -> dict[str, Any]:
    """Returns what all methods with two views and a projector have, and settings by their names."""
    return {
        "projector": _projector(config, encoder),
        "views": _two_views(config),
        **{name: getattr(config.method, name) for name in settings},
    }


def _queue(config: RunConfig, projector: keras.Model) -> SupportQueue:
    method: Any = config.method
    return SupportQueue(method.queue_size, projector.output_shape[-1], seed=config.seed)


def _momentum_networks(
    config: RunConfig, context: MethodContext, encoder: keras.Model
) -> dict[str, Any]:
    # Equal seeds give equal first weights.
    return {
        "momentum_encoder": build_configured_encoder(
            config.encoder, context.image_shape, config.seed
        ),
        "momentum_projector": _projector(config, encoder),
    }


def _simclr(config: RunConfig, context: MethodContext, encoder: keras.Model) -> dict[str, Any]:
    return _siamese(config, encoder, "temperature", "negatives")


def _nnclr(config: RunConfig, context: MethodContext, encoder: keras.Model) -> dict[str, Any]:
    parts = _siamese(config, encoder, "temperature")
    return parts | {"queue": _queue(config, parts["projector"])}


def _moco(config: RunConfig, context: MethodContext, encoder: keras.Model) -> dict[str, Any]:
    parts = _siamese(config, encoder, "temperature", "momentum")
    parts["queue"] = _queue(config, parts["projector"])
    return parts | _momentum_networks(config, context, encoder)


def _barlow_twins(
    config: RunConfig, context: MethodContext, encoder: keras.Model
) -> dict[str, Any]:
    return _siamese(config, encoder, "off_diagonal")


def _vicreg(config: RunConfig, context: MethodContext, encoder: keras.Model) -> dict[str, Any]:
    return _siamese(config, encoder, "invariance", "variance", "covariance")


def _emp_ssl(config: RunConfig, context: MethodContext, encoder: keras.Model) -> dict[str, Any]:
    settings = ("patches", "invariance", "squared_distortion")
    parts = _siamese(config, encoder, *settings)
    return parts | {"views": parts["views"][:1]}


def _k_means(config: RunConfig, context: MethodContext, encoder: keras.Model) -> dict[str, Any]:
    method: Any = config.method
    return {
        "moments": PatchMoments(encoder.get_layer("whitening").mean.shape[0]),
        "views": (build_view(config.views),),
        "patches": method.patches,
        "whitening_epsilon": method.whitening_epsilon,
    }


def _predictor(config: RunConfig, projector: keras.Model) -> keras.Model:
    method: Any = config.method
    width = projector.output_shape[-1]
    return build_predictor(
        width,
        seed=config.seed,
        units=(*method.predictor, width),
        initializer=config.encoder.initializer,
    )


def _byol(config: RunConfig, context: MethodContext, encoder: keras.Model) -> dict[str, Any]:
    parts = _siamese(config, encoder, "momentum") | {"steps": context.steps}
    parts["predictor"] = _predictor(config, parts["projector"])
    return parts | _momentum_networks(config, context, encoder)


def _simsiam(config: RunConfig, context: MethodContext, encoder: keras.Model) -> dict[str, Any]:
    parts = _siamese(config, encoder)
    return parts | {"predictor": _predictor(config, parts["projector"])}


def _vae(config: RunConfig, context: MethodContext, encoder: keras.Model) -> dict[str, Any]:
    method: Any = config.method
    filters = config.encoder.filters if isinstance(config.encoder, CoreConfig) else (6, 16)
    return {
        "head": build_gaussian_head(
            encoder.output_shape[-1], seed=config.seed, units=method.latent
        ),
        "decoder": build_decoder(
            context.image_shape, seed=config.seed, latent=method.latent, filters=filters
        ),
        "views": (build_view(config.views),),
        "kl_weight": method.kl_weight,
    }


def _head(
    settings: EncoderConfig, context: MethodContext, encoder: keras.Model, seed: int
) -> keras.Model:
    return build_linear_head(
        encoder.output_shape[-1],
        context.classes,
        seed=seed,
        # Recipe E's classifier starts as its encoder does; "he" is for layers before a ReLU.
        initializer="keras" if settings.initializer == "he" else settings.initializer,
    )


def _supervised(config: RunConfig, context: MethodContext, encoder: keras.Model) -> dict[str, Any]:
    return {
        "head": _head(config.encoder, context, encoder, config.seed),
        "views": (build_view(config.views),),
    }


def _self_training(
    config: RunConfig, context: MethodContext, encoder: keras.Model
) -> dict[str, Any]:
    method: Any = config.method
    teacher_encoder = build_configured_encoder(
        method.teacher.encoder or config.encoder, context.image_shape, config.seed
    )
    teacher_head = _head(
        method.teacher.encoder or config.encoder, context, teacher_encoder, config.seed
    )
    if context.teacher is not None:
        read_final(context.teacher, {"encoder": teacher_encoder, "head": teacher_head})
    return {
        "head": _head(config.encoder, context, encoder, config.seed),
        "teacher_encoder": teacher_encoder,
        "teacher_head": teacher_head,
        "clean": build_view(config.views),
        "noise": randaugment_noise(layers=method.noise_layers, magnitude=method.noise_magnitude),
        "temperature": method.temperature,
        "squared_temperature": method.squared_temperature,
        "confidence": method.confidence,
    }


_PARTS: dict[str, Callable[[RunConfig, MethodContext, keras.Model], dict[str, Any]]] = {
    "barlow_twins": _barlow_twins,
    "byol": _byol,
    "emp_ssl": _emp_ssl,
    "k_means": _k_means,
    "moco": _moco,
    "nnclr": _nnclr,
    "self_training": _self_training,
    "simclr": _simclr,
    "simsiam": _simsiam,
    "supervised": _supervised,
    "vae": _vae,
    "vicreg": _vicreg,
}
