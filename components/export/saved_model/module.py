"""SavedModel module with the whole answer: decoding, resizing, scaling, encoder and heads.

What is tracked is the raw variables, not the Keras model: a SavedModel that tracks a Keras 3 model
loads in Python and fails in TensorFlow Serving's C++ loader. Each variable is stored once, and each
network is one function of the graph, which all signatures call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.python.saved_model import fingerprinting_utils

from twofold.components.errors import ExportError
from twofold.components.export.saved_model.classifier_heads import Head, LinearHead
from twofold.components.export.saved_model.signatures import (
    DEFAULT,
    RESERVED,
    SignatureBuilder,
    TrainingViews,
    evaluation_view,
)
from twofold.components.transforms.decode import DecodeRule
from twofold.components.transforms.views import ViewFunction

__all__ = ["ExportError", "LinearHead", "save_encoder"]

_HEAD_NAME = re.compile(r"[a-z][a-z0-9_]*")
_CLASSIFY = "classify_examples"


def save_encoder(
    directory: Path,
    encoder: keras.Model,
    rule: DecodeRule,
    head: Head | None = None,
    *,
    class_names: Sequence[str] | None = None,
    heads: Mapping[str, Head] | None = None,
    views: TrainingViews | None = None,
    tta_view: ViewFunction | None = None,
    example_feature: str = "image",
) -> tuple[str, ...]:
    """Writes a SavedModel with the signatures of ``saved_model.signatures``.

    Args:
        directory: the version directory to write.
        encoder: float32 [B, H, W, C] in [0, 1] to features [B, D].
        rule: how files become the encoder's pixels.
        head: the default one, or None where there are no labels: then there are only the signatures
            that need none.
        class_names: K names in the order of the logits; None for the numbers of the classes; not
            used without a head.
        heads: further ones by name, of lower-case letters, digits and underscores.
        views: the two views of training; None leaves ``augment`` out.
        tta_view: of ``classify_tta``; None for ``evaluation_view``.
        example_feature: of a ``tf.train.Example``, what holds the image's file.

    Returns:
        The names of the signatures, sorted.

    Raises:
        ExportError: if a head has a name that it cannot have, does not fit its encoder's features
            or the class names, or there are further heads and no default one.

    """
    if head is None and heads:
        raise ExportError(f"the heads {', '.join(sorted(heads))} need a default head beside them")
    every = {"": head, **(heads or {})} if head is not None else {}
    names = _names(class_names, head)
    for name, one in every.items():
        _check_head(name, one, encoder, names)

    module = tf.Module()
    module.encoder_variables = [variable.value for variable in encoder.variables]
    builder = SignatureBuilder(rule, _encoding(encoder))
    signatures = {"embed": builder.embed(), "embed_bytes": builder.embed_bytes()}
    if views is not None:
        signatures["augment"] = builder.augment(views)
    module.head_variables = {}
    module.head_encoder_variables = {}
    for name, one in every.items():
        built = one.build()
        key = name or "default"
        module.head_variables[key] = built.variables
        own = None
        if one.encoder is not None and one.encoder is not encoder:
            module.head_encoder_variables[key] = [part.value for part in one.encoder.variables]
            own = builder.share(_encoding(one.encoder))
        signatures[f"classify_{name}" if name else "classify"] = builder.classify(
            built.logits, names, own
        )
        if not name:
            signatures["classify_tta"] = builder.classify_tta(
                built.logits, names, tta_view or evaluation_view()
            )
            signatures[_CLASSIFY] = builder.classify_examples(built.logits, names, example_feature)
    signatures[DEFAULT] = signatures["classify" if every else "embed_bytes"]
    tf.saved_model.save(module, str(directory), signatures=signatures)
    if every:
        _name_method(directory)
    return tuple(sorted(signatures))


def _encoding(encoder: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda pixels: tf.cast(encoder(pixels, training=False), tf.float32)


def _names(class_names: Sequence[str] | None, head: Head | None) -> list[str]:
    if class_names is not None:
        return list(class_names)
    return [str(number) for number in range(head.classes)] if head is not None else []


def _check_head(name: str, head: Head, encoder: keras.Model, names: Sequence[str]) -> None:
    """Refuses a head that does not fit, before TensorFlow does while it traces a graph."""
    called = f"the head {name}" if name else "the default head"
    if name and (not _HEAD_NAME.fullmatch(name) or name in RESERVED):
        raise ExportError(
            f"a head is named by lower-case letters, digits and underscores and not "
            f"{' or '.join(RESERVED)}, received {name!r}"
        )
    if not name and head.encoder is not None and head.encoder is not encoder:
        raise ExportError(
            "the default head answers beside the model's own embedding: expected one without an "
            "encoder of its own"
        )
    width = (head.encoder or encoder).output_shape[-1]
    if head.features != width:
        raise ExportError(
            f"{called} takes features of width {head.features}, but its encoder gives {width}"
        )
    if head.classes != len(names):
        raise ExportError(f"{called} has {head.classes} classes, but there are {len(names)} names")


def _name_method(directory: Path) -> None:
    """Makes ``classify_examples`` a signature of TensorFlow Serving's Classify.

    TensorFlow writes every signature as one of Predict. The fingerprint beside the graph is of its
    bytes and is written anew.
    """
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(directory))
    updater.replace_method_name(
        signature_key=_CLASSIFY, method_name=tf.saved_model.CLASSIFY_METHOD_NAME, tags="serve"
    )
    updater.save()
    fingerprinting_utils.write_fingerprint(str(directory))
