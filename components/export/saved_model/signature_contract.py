"""Signature contract: what a model promises its callers, and what of another would break them.

TensorFlow Serving's clients name a signature, send every one of its inputs and read its outputs by
name. A model keeps the contract of another if each request of the other's callers is still taken
and each answer still fits what they expect.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from twofold.components.errors import ExportedModelError
from twofold.components.export.saved_model.version_directory import SAVED_MODEL_FILE

_TAG = "serve"
_INITIALISER = "__saved_model_init_op"

Shape = tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output.

    Attributes:
        dtype: TensorFlow's name of the type, such as ``uint8`` or ``string``.
        shape: sizes, None where any goes; None as a whole where the rank is free, too.
        optional: whether an input may be left out, since the model holds a value for it.

    """

    dtype: str
    shape: Shape
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.dtype} {shape_text(self.shape)}"


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function of the model.

    Attributes:
        method: TensorFlow Serving's name of the call that it answers.
        inputs: by name.
        outputs: by name.

    """

    method: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


Contract = Mapping[str, Signature]


def read_contract(version: Path) -> dict[str, Signature]:
    """The signatures of a SavedModel by name, read without loading it.

    Raises:
        ExportedModelError: if the file is missing or damaged, or has nothing to serve.

    """
    path = version / SAVED_MODEL_FILE
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise ExportedModelError(f"{path} cannot be read: {error}") from error
    for graph in saved_model.meta_graphs:
        if _TAG in graph.meta_info_def.tags:
            signatures = {
                name: _signature(graph.signature_def[name])
                for name in sorted(graph.signature_def)
                if name != _INITIALISER
            }
            if signatures:
                return signatures
    raise ExportedModelError(f'{path} has no signatures in a graph with the tag "{_TAG}"')


def breaking_changes(current: Contract, candidate: Contract) -> list[str]:
    """What of a candidate would break the current model's callers, one sentence each.

    A signature or output that is gone, one of another type, an input with another name, a size
    that an input no longer takes, and a size of an output that was fixed and is another now are
    breaking. So is a further input, unless the model holds a value for it, since callers do not
    send it. Further signatures and outputs are not, nor is an input that takes more sizes.
    """
    return list(_breaking(current, candidate))


def reshaping_additions(current: Contract, candidate: Contract) -> list[str]:
    """Additions that break nobody who reads outputs by name, but change a REST answer's form.

    In the row format TensorFlow Serving answers with bare values where a signature has one output,
    and with objects where it has several.
    """
    return [
        f"signature {name} had one output and has {len(candidate[name].outputs)}: REST answers in "
        f"the row format become objects"
        for name, signature in sorted(current.items())
        if name in candidate
        and len(signature.outputs) == 1
        and len(candidate[name].outputs) > 1
        and set(signature.outputs) <= set(candidate[name].outputs)
    ]


def shape_text(shape: Shape) -> str:
    """A shape as TensorFlow prints it: ``[?,96,96,3]``, ``<unknown>`` where the rank is free."""
    if shape is None:
        return "<unknown>"
    return "[" + ",".join("?" if size is None else str(size) for size in shape) + "]"


def fits(required: Shape, given: Shape) -> bool:
    """Tells whether all that has the given shape has the required one, too."""
    if required is None:
        return True
    if given is None or len(given) != len(required):
        return False
    return all(one is None or one == other for one, other in zip(required, given, strict=True))


def _breaking(current: Contract, candidate: Contract) -> Iterator[str]:
    for name, signature in sorted(current.items()):
        if name not in candidate:
            yield f"signature {name} is gone"
            continue
        other = candidate[name]
        if other.method != signature.method:
            yield f"signature {name} answers {other.method}, and answered {signature.method}"
        for kind, before, after in (
            ("input", signature.inputs, other.inputs),
            ("output", signature.outputs, other.outputs),
        ):
            for key, tensor in sorted(before.items()):
                if key not in after:
                    yield f"signature {name}: {kind} {key} is gone"
                elif after[key].dtype != tensor.dtype or not _keeps(kind, tensor, after[key]):
                    yield f"signature {name}: {kind} {key} is {after[key]}, and was {tensor}"
                elif tensor.optional and not after[key].optional:
                    yield f"signature {name}: {kind} {key} can no longer be left out"
        for key in sorted(set(other.inputs) - set(signature.inputs)):
            if not other.inputs[key].optional:
                yield f"signature {name}: input {key} is new, and callers do not send it"


def _keeps(kind: str, before: Tensor, after: Tensor) -> bool:
    # An input must take all that it took; an output may only be what it could be.
    return fits(after.shape, before.shape) if kind == "input" else fits(before.shape, after.shape)


def _signature(message: meta_graph_pb2.SignatureDef) -> Signature:
    return Signature(
        method=message.method_name,
        inputs={
            name: _tensor(message.inputs[name], name in message.defaults)
            for name in sorted(message.inputs)
        },
        outputs={name: _tensor(message.outputs[name], False) for name in sorted(message.outputs)},
    )


def _tensor(message: meta_graph_pb2.TensorInfo, optional: bool) -> Tensor:
    shape = message.tensor_shape
    return Tensor(
        dtype=tf.as_dtype(message.dtype).name,
        shape=None
        if shape.unknown_rank
        else tuple(None if dim.size < 0 else dim.size for dim in shape.dim),
        optional=optional,
    )
