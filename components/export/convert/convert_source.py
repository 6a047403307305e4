"""Source of a conversion: the pixels' signature of a SavedModel, and a head."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from twofold.components.errors import DataError, ExportedModelError, ExportError

_BATCH = 64


class LinearWeights(Protocol):
    """A linear classifier on the embedding."""

    @property
    def weights(self) -> np.ndarray:
        """Float [D, K]."""

    @property
    def bias(self) -> np.ndarray:
        """Float [K]."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A loaded model.

    Attributes:
        model: what ``tf.saved_model.load`` gave; it owns the variables.
        embed: its signature of that name.
        head: what classifies its embeddings, or None.

    """

    model: Any
    embed: Any
    head: LinearWeights | None

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        return tuple(self.embed.structured_input_signature[1]["images"].shape[1:])

    def check_images(self, name: str, images: np.ndarray) -> None:
        """Raises DataError unless there are images, uint8 and of the model's size."""
        shape = self.image_shape
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
            raise DataError(
                f"{name} must be uint8 [N, {', '.join(map(str, shape))}], received "
                f"{images.dtype} {list(images.shape)}"
            )
        if not len(images):
            raise DataError(f"{name} holds no image: expected at least one")

    def check_labels(self, labels: np.ndarray, count: int) -> None:
        """Raises a ``TwofoldError`` unless these are classes of the head, for so many images."""
        if self.head is None:
            raise ExportError("labels need a head to measure: expected a head, received none")
        if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
            raise DataError(
                f"labels must be integers [{count}], received {labels.dtype} {list(labels.shape)}"
            )
        classes = len(self.head.bias)
        if labels.min() < 0 or labels.max() >= classes:
            raise DataError(
                f"labels must be in 0..{classes - 1}, received {labels.min()} to {labels.max()}"
            )

    def answer(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Gives what a converted file must: the model's embeddings, and the head's answer."""
        parts = [
            self.embed(images=tf.constant(images[start : start + _BATCH]))["embedding"].numpy()
            for start in range(0, len(images), _BATCH)
        ]
        answers = {"embedding": np.concatenate(parts)}
        if self.head is not None:
            logits = answers["embedding"] @ self.head.weights + self.head.bias
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            answers["logits"] = logits.astype(np.float32)
            answers["probabilities"] = (powers / powers.sum(axis=1, keepdims=True)).astype(
                np.float32
            )
        return answers

    def stage(self, directory: Path) -> None:
        """Saves a model whose one signature, and function ``answer``, is what to convert."""
        module = tf.Module()
        module.model = self.model
        module.head = (
            None
            if self.head is None
            else [
                tf.Variable(part, dtype=tf.float32) for part in (self.head.weights, self.head.bias)
            ]
        )
        spec = tf.TensorSpec([None, *self.image_shape], tf.uint8, "images")

        @tf.function(input_signature=[spec], autograph=False)
        def answer(images: tf.Tensor) -> dict[str, tf.Tensor]:
            answers = {"embedding": self.embed(images=images)["embedding"]}
            if module.head is not None:
                weights, bias = module.head
                answers["logits"] = tf.matmul(answers["embedding"], weights) + bias
                answers["probabilities"] = tf.nn.softmax(answers["logits"])
            return answers

        module.answer = answer
        tf.saved_model.save(module, str(directory), signatures={"serving_default": answer})


def load_source(directory: Path, head: LinearWeights | None) -> Source:
    """Loads a SavedModel to convert.

    Args:
        directory: of a version, with ``saved_model.pb``.
        head: a linear classifier on its embedding, or None.

    Raises:
        ExportedModelError: if this is no SavedModel, or has no signature ``embed`` from uint8
            ``images`` [B, H, W, C] to ``embedding`` float32 [B, D].
        ExportError: if the head does not fit it.

    """
    if not (directory / "saved_model.pb").is_file():
        raise ExportedModelError(f"{directory} is no SavedModel: expected saved_model.pb in it")
    model = tf.saved_model.load(str(directory))
    if "embed" not in model.signatures:
        raise ExportedModelError(
            f"{directory} has no signature 'embed', which takes pixels, but "
            f"{', '.join(sorted(model.signatures)) or 'none'}; what takes the bytes of files "
            f"cannot be converted, since no other runtime decodes them"
        )
    embed = model.signatures["embed"]
    given, gives = embed.structured_input_signature[1], embed.structured_outputs
    images, embedding = given.get("images"), gives.get("embedding")
    if (
        list(given) != ["images"]
        or images.dtype != tf.uint8
        or images.shape.rank != 4
        or None in images.shape[1:]
        or embedding is None
        or embedding.shape.rank != 2
    ):
        raise ExportedModelError(
            f"{directory}: the signature 'embed' must take images uint8 [B, H, W, C] and give "
            f"embedding [B, D], received {given} and {gives}"
        )
    if head is not None:
        shapes = np.shape(head.weights), np.shape(head.bias)
        if len(shapes[0]) != 2 or (embedding.shape[1], *shapes[1]) != shapes[0]:
            raise ExportError(
                f"the head must have weights [{embedding.shape[1]}, K] and a bias [K], received "
                f"{list(shapes[0])} and {list(shapes[1])}"
            )
    return Source(model, embed, head)
