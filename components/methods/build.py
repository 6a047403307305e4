"""Methods built from their settings: every field of a method's class by its name."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.heads import (
    build_linear_head,
    build_predictor,
    build_projector,
)
from twofold.components.encoders.settings import ENCODERS, EncoderSettings
from twofold.components.errors import SettingsError
from twofold.components.methods.automatic import Choice, TrainingSize
from twofold.components.methods.queue import SupportQueue
from twofold.components.methods.settings import MethodSettings
from twofold.components.training.method import Method
from twofold.components.transforms.views import ViewFunction

ImageShape = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class MethodContext:
    """What a method is built from besides its settings.

    Attributes:
        encoder: settings of the encoder.
        views: policies, ``MethodSettings.view_policies`` of them.
        image_shape: (H, W, C) of the images.
        classes: K, how many classes the labels have.
        steps: of the whole training.
        seed: of all first weights.
        compile_views: whether XLA compiles the views.
        repeats: whether a batch may hold an image several times.
        images: how many are trained on.
        batches: see ``twofold.components.methods.automatic.TrainingSize``.
        accumulate: likewise.
        begun_steps: of the training as it began, by which choices are made; None for ``steps``, as
            of one that was not continued.
        read_teacher: gives a teacher's networks, by name, the weights that it ended with; None
            leaves them their first ones.

    """

    encoder: EncoderSettings
    views: Sequence[ViewFunction]
    image_shape: ImageShape
    classes: int
    steps: int
    seed: int
    compile_views: bool = True
    repeats: bool = False
    images: int = sys.maxsize
    batches: tuple[int, ...] = (256,)
    accumulate: int = 1
    begun_steps: int | None = None
    read_teacher: Callable[[Mapping[str, keras.Model]], None] | None = None


class Parts:
    """What a method can be made of, each part on first use.

    A part is one that the method defines itself (``Method.own_parts``), one that several methods
    have (``SHARED_PARTS``), or a setting of the method.

    Attributes:
        settings: of the method; some may be null, and stand for a choice.
        context: what else it is built from.

    """

    def __init__(self, settings: MethodSettings, context: MethodContext) -> None:
        self.settings, self.context = settings, context
        implementation: type[Method] = settings.load_implementation()
        self._builders = {**SHARED_PARTS, **implementation.own_parts()}
        self._made: dict[str, Any] = {}

    @functools.cached_property
    def choices(self) -> tuple[Choice, ...]:
        """What the settings become that are null, where they then stand for a choice."""
        return tuple(self.settings.automatic(self.size))

    @functools.cached_property
    def resolved(self) -> MethodSettings:
        """The settings with the choices in place of null."""
        return self.settings.resolved(self.size)

    @property
    def size(self) -> TrainingSize:
        """What the choices are made by."""
        features = self["encoder"].output_shape[-1]
        context = self.context
        steps = context.steps if context.begun_steps is None else context.begun_steps
        return TrainingSize(features, context.images, context.batches, steps, context.accumulate)

    def __contains__(self, name: object) -> bool:
        """Says whether there is a part of the name."""
        return name in self._builders or name in type(self.settings).model_fields

    def __getitem__(self, name: str) -> Any:
        """Gives a part, the same one every time."""
        if name not in self._builders:
            # A choice is made by the encoder, which other settings may be needed for.
            given = getattr(self.settings, name)
            return getattr(self.resolved, name) if given is None else given
        if name not in self._made:
            self._made[name] = self._builders[name](self)
        return self._made[name]


def build_method(settings: MethodSettings, context: MethodContext) -> Method:
    """Builds a method with its networks; do so in the strategy's scope.

    Raises:
        SettingsError: if the images do not fit the encoder, or nothing is found for a field.

    """
    return assemble(Parts(settings, context))


def assemble(parts: Parts) -> Method:
    """Makes a method of its parts; do so in the strategy's scope.

    Every field of the method's class is a part of that name; a field that has a default may have
    none.

    Raises:
        SettingsError: if the images do not fit the encoder, or nothing is found for a field.

    """
    settings = parts.settings
    implementation: type[Method] = settings.load_implementation()
    given = {}
    for field in dataclasses.fields(implementation):  # type: ignore[arg-type]
        if field.name in parts:
            given[field.name] = parts[field.name]
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SettingsError(
                f"{implementation.__name__}.{field.name}: expected a setting of this name in "
                f"{type(settings).__name__}, an own part of {implementation.__name__}, or one of "
                f"{', '.join(sorted(SHARED_PARTS))}"
            )
    return implementation(**given)


def build_configured_encoder(
    encoder: EncoderSettings, image_shape: ImageShape, seed: int
) -> keras.Model:
    """Builds an encoder with its first weights.

    Raises:
        SettingsError: if the images do not fit it.

    """
    settings = encoder.model_dump(exclude={ENCODERS.key})
    return build_encoder(encoder.name, image_shape, seed=seed, **settings)


def build_method_projector(
    settings: MethodSettings, encoder: EncoderSettings, features: int, seed: int
) -> keras.Model | None:
    """Builds the projector of a method, with its first weights.

    Args:
        settings: of the method, without null where it stands for a choice.
        encoder: settings of the encoder.
        features: D, the width of what the encoder gives.
        seed: of the first weights.

    Returns:
        Features [B, D] to projections [B, P]; None where the method has no projector, or one
        without a layer.

    """
    if not getattr(settings, "projector", ()):
        return None
    return _build_projector(settings, encoder, features, seed)


def build_classifier(
    encoder: EncoderSettings, network: keras.Model, classes: int, seed: int
) -> keras.Model:
    """Builds the linear classifier of a method, features [B, D] to logits [B, K]."""
    return build_linear_head(
        network.output_shape[-1], classes, seed=seed, initializer=encoder.classifier_initializer
    )


def _build_projector(
    settings: Any, encoder: EncoderSettings, features: int, seed: int
) -> keras.Model:
    return build_projector(
        features,
        seed=seed,
        units=settings.projector,
        batch_norm=settings.projector_batch_norm,
        output_norm=settings.output_norm,
        initializer=encoder.head_initializer,
        **encoder.head_batch_norm,
    )


def _encoder(parts: Parts) -> keras.Model:
    context = parts.context
    return build_configured_encoder(context.encoder, context.image_shape, context.seed)


def _projector(parts: Parts) -> keras.Model:
    context = parts.context
    features = parts["encoder"].output_shape[-1]
    return _build_projector(parts.resolved, context.encoder, features, context.seed)


def _predictor(parts: Parts) -> keras.Model:
    width = parts["projector"].output_shape[-1]
    settings: Any = parts.resolved
    return build_predictor(
        width,
        seed=parts.context.seed,
        units=(*settings.predictor, width),
        initializer=parts.context.encoder.head_initializer,
        **parts.context.encoder.head_batch_norm,
    )


def _queue(parts: Parts) -> SupportQueue:
    settings: Any = parts.resolved
    width = parts["projector"].output_shape[-1]
    context = parts.context
    return SupportQueue(settings.queue_size, width, seed=context.seed, images=context.repeats)


def _head(parts: Parts) -> keras.Model:
    context = parts.context
    return build_classifier(context.encoder, parts["encoder"], context.classes, context.seed)


PartBuilder = Callable[[Parts], Any]
SHARED_PARTS: dict[str, PartBuilder] = {
    "encoder": _encoder,
    "projector": _projector,
    "predictor": _predictor,
    # Equal seeds give equal first weights.
    "momentum_encoder": _encoder,
    "momentum_projector": _projector,
    "queue": _queue,
    "head": _head,
    "views": lambda parts: tuple(parts.context.views),
    "steps": lambda parts: parts.context.steps,
    "compile_views": lambda parts: parts.context.compile_views,
}
