"""From a configuration to the objects of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from components.encoders import build_encoder
from components.encoders.heads import build_linear_head, build_projector
from components.methods import METHODS, Method
from components.training.checkpoint import load_encoder
from components.training.loop import LoopSettings
from components.training.optimizers import OPTIMIZERS
from components.training.step import OnlineProbe, TrainState
from components.transforms.affine import AffineRanges
from components.transforms.colour import ColourRanges
from components.transforms.crop import CropRanges
from components.transforms.views import ViewFunction, affine_view, crop_view
from pipeline.config import AffineViewsConfig, RunConfig


def build_view(config: RunConfig) -> ViewFunction:
    """Builds the view policy."""
    views = config.views
    if isinstance(views, AffineViewsConfig):
        return affine_view(AffineRanges(**views.model_dump(exclude={"policy"})))
    return crop_view(
        CropRanges(views.area, views.aspect, views.flip),
        ColourRanges(views.brightness, views.jitter),
    )


def build_method(config: RunConfig, image_shape: tuple[int, int, int]) -> Method:
    """Builds the networks for images (H, W, C), and the method that trains them."""
    settings = config.encoder.model_dump()
    encoder = build_encoder(settings.pop("name"), image_shape, seed=config.seed, **settings)
    projector = build_projector(
        encoder.output_shape[-1],
        seed=config.seed,
        units=config.method.projector,
        initializer=config.encoder.initializer,
    )
    return METHODS[config.method.name](
        encoder=encoder,
        projector=projector,
        view=build_view(config),
        temperature=config.method.temperature,
    )


def build_state(
    config: RunConfig, method: Method, settings: LoopSettings, classes: int
) -> TrainState:
    """Builds the optimizer, and the online probe where there is more than one class."""
    training = config.training
    optimizer = OPTIMIZERS[training.optimizer](
        learning_rate=training.learning_rate,
        warmup_steps=round(training.warmup_epochs * settings.steps_per_epoch),
        decay_steps=round((training.schedule_epochs or training.epochs) * settings.steps_per_epoch),
    )
    probe = None
    if classes > 1:
        features = method.models["encoder"].output_shape[-1]
        probe = OnlineProbe(
            head=build_linear_head(features, classes, seed=config.seed),
            optimizer=keras.optimizers.Adam(1e-3),
        )
    state = TrainState(method.models, optimizer, probe)
    state.build()
    return state


def describe(
    config: RunConfig, image_shape: tuple[int, ...], step_fingerprint: str
) -> dict[str, Any]:
    """Returns what ``rebuild_encoder`` needs, and the fingerprint of what the weights come from."""
    return {
        "fingerprint": step_fingerprint,
        "encoder": {
            "image_shape": list(image_shape),
            "seed": config.seed,
            **config.encoder.model_dump(mode="json"),
        },
        "method": config.method.model_dump(mode="json"),
    }


def rebuild_encoder(checkpoints: Path) -> keras.Model:
    """Rebuilds the trained encoder of a checkpoint directory, with its newest weights."""

    def build(description: Mapping[str, Any]) -> keras.Model:
        return build_encoder(**description["encoder"])

    encoder, _ = load_encoder(checkpoints, build)
    return encoder
