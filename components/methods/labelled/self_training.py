"""Self-training with a noisy student (Xie et al., 2020), by consistency (recipe D)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.losses.distillation import confident, consistency, cross_entropy
from twofold.components.methods.build import (
    PartBuilder,
    Parts,
    build_classifier,
    build_configured_encoder,
)
from twofold.components.methods.labelled.self_training_settings import SelfTrainingSettings
from twofold.components.training.method import (
    Method,
    MethodInput,
    MethodOutput,
    TwoViews,
    sample_views,
)
from twofold.components.transforms.consistency.consistency_views import build_noise
from twofold.components.transforms.views import ViewFunction, make_views

_NOISE = 0x5E1F


@dataclasses.dataclass(frozen=True)
class SelfTraining(Method):
    """A student on a noisy view learns the labels and what a teacher says of the clean view.

    The loss is ``(CE(labels, student(noisy)) + KL(softmax(teacher(clean) / T) ||
    softmax(student(noisy) / T))) / 2`` (recipe D; Hinton et al., 2015, equation 1 for T). Images
    without a label take part in the second term alone.

    Attributes:
        encoder: the student's, [B, H, W, C] to features [B, D].
        head: the student's, features [B, D] to logits [B, K].
        teacher_encoder: frozen, likewise.
        teacher_head: frozen, likewise.
        clean: draws the teacher's view.
        noise: is added to the student's.
        crops: "shared": the noise is added to the teacher's view; "own": to another view that
            ``clean`` draws, as in recipe D, so that the two may show different parts.
        temperature: T.
        squared_temperature: whether the second term is multiplied by T^2, which keeps its
            gradient's size (Hinton et al., 2015, section 2); recipe D does not.
        confidence: the teacher's largest probability from which an image takes part in the second
            term; None for all.
        compile_views: whether XLA compiles the views.

    """

    encoder: keras.Model
    head: keras.Model
    teacher_encoder: keras.Model
    teacher_head: keras.Model
    clean: ViewFunction
    noise: ViewFunction
    crops: Literal["shared", "own"]
    temperature: float
    squared_temperature: bool
    confidence: float | None
    compile_views: bool = True

    @classmethod
    def own_parts(cls) -> Mapping[str, PartBuilder]:
        """The teacher, and what makes the student's view of the teacher's."""
        return {
            "teacher_encoder": lambda parts: parts["teacher_networks"]["encoder"],
            "teacher_head": lambda parts: parts["teacher_networks"]["head"],
            "teacher_networks": _teacher_networks,
            "clean": lambda parts: parts["views"][0],
            "noise": lambda parts: build_noise(parts.settings.noise),
        }

    @classmethod
    def training_views(
        cls, settings: SelfTrainingSettings, views: Sequence[ViewFunction]
    ) -> TwoViews:
        """Gives what draws the teacher's view, and the student's of it."""
        noise, count = build_noise(settings.noise), _clean_views(settings.crops)

        def teacher_and_student(images: tf.Tensor, keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            drawn = make_views([views[0]] * count, images, keys)
            return drawn[0], noisy_view(noise, drawn[-1], keys)

        return teacher_and_student

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The student."""
        return {"encoder": self.encoder, "head": self.head}

    @property
    def memory(self) -> Mapping[str, Any]:
        """The teacher, so that a resumed student has the same one."""
        return {"teacher_encoder": self.teacher_encoder, "teacher_head": self.teacher_head}

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes this replica's share of the loss, its two parts and the accuracy."""
        clean, noisy = self._draw(batch)
        features = self.encoder(noisy, training=True)
        logits = self.head(features, training=True)
        teacher_logits = tf.stop_gradient(
            self.teacher_head(self.teacher_encoder(clean, training=False), training=False)
        )
        supervised, accuracy = cross_entropy(logits, batch.labels)
        weights = None if self.confidence is None else confident(teacher_logits, self.confidence)
        agreement = consistency(
            logits,
            teacher_logits,
            self.temperature,
            squared_temperature=self.squared_temperature,
            weights=weights,
        )
        return MethodOutput(
            loss=0.5 * (supervised + agreement),
            metrics={
                "accuracy": accuracy,
                "cross_entropy": supervised,
                "consistency": agreement,
            },
            features=features,
        )

    def _draw(self, batch: MethodInput) -> tuple[tf.Tensor, tf.Tensor]:
        policies = (self.clean,) * _clean_views(self.crops)
        drawn = sample_views(policies, batch.images, batch.keys, compiled=self.compile_views)
        draw = tf.function(noisy_view, jit_compile=self.compile_views, autograph=False)
        return drawn[0], draw(self.noise, drawn[-1], batch.keys)


def noisy_view(noise: ViewFunction, clean: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Makes the student's view of a clean one, float32 [B, H, W, C], by the images' keys."""
    return noise(clean, keyed_random.fold_in(keys, _NOISE))


def _clean_views(crops: str) -> int:
    return 2 if crops == "own" else 1


def _teacher_networks(parts: Parts) -> Mapping[str, keras.Model]:
    context = parts.context
    settings = parts["teacher"].encoder or context.encoder
    encoder = build_configured_encoder(settings, context.image_shape, context.seed)
    head = build_classifier(settings, encoder, context.classes, context.seed)
    networks = {"encoder": encoder, "head": head}
    if context.read_teacher is not None:
        context.read_teacher(networks)
    return networks
