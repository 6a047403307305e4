"""ONNX, and ONNX Runtime to run it. OpenVINO reads the same file, and so do other runtimes."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("tf2onnx", "onnx", "onnxruntime")
# Of 2022: what reads it is wide spread, and reductions and resizing in it are as TensorFlow's.
OPSET = 18
_OWN_DOMAINS = ("", "ai.onnx.ml")


def write(saved_model: Path, file: Path, precision: str, calibration: np.ndarray | None) -> None:
    """Converts the function ``answer`` of a SavedModel to an ONNX file with a dynamic batch size.

    Args:
        saved_model: as ``twofold.components.export.convert.conversion`` stages it.
        file: to write.
        precision: "float32".
        calibration: not used.

    Raises:
        ValueError: for any other precision.

    """
    if precision != "float32":
        raise ValueError(f'ONNX files are written in "float32", received {precision!r}')
    tensorflow = importlib.import_module("tensorflow")
    converter = importlib.import_module("tf2onnx")
    onnx = importlib.import_module("onnx")
    loaded = tensorflow.saved_model.load(str(saved_model))
    model, _ = converter.convert.from_function(
        loaded.answer, loaded.answer.input_signature, opset=OPSET
    )
    _keep_padding(model.graph, onnx)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, str(file))


def _keep_padding(graph: Any, onnx: Any) -> None:
    """Puts a Clip that clips nothing between each Pad and the MaxPool that it pads for.

    ONNX Runtime folds the one into the other by default, zeros too, though a MaxPool pads with
    -infinity: where all else in a window is negative, as before a ResNet V2's first activation, the
    maximum is another.
    """
    padded = {node.output[0] for node in graph.node if node.op_type == "Pad"}
    nodes = []
    for node in graph.node:
        if node.op_type == "MaxPool" and node.input[0] in padded:
            lowest, name = f"{node.input[0]}/lowest", f"{node.input[0]}/kept"
            value = np.array(np.finfo(np.float32).min)
            graph.initializer.append(onnx.numpy_helper.from_array(value, lowest))
            nodes.append(onnx.helper.make_node("Clip", [node.input[0], lowest], [name]))
            node.input[0] = name
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def foreign_operations(file: Path) -> list[str]:
    """Names the operations of a file that the ONNX standard does not have, sorted.

    tf2onnx calls a conversion successful that leaves TensorFlow's operations in the graph.
    """
    onnx = importlib.import_module("onnx")
    nodes = list(_nodes(onnx.load(str(file)).graph))
    return sorted(
        {
            f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            for node in nodes
            if node.domain not in _OWN_DOMAINS or not onnx.defs.has(node.op_type, node.domain)
        }
    )


def _nodes(graph: Any) -> Iterator[Any]:
    """Gives the nodes of a graph and of those within it, the branches of a condition say."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from _nodes(inner)


def answer(file: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """Runs a file on images uint8 [N, H, W, C], and returns its outputs by name."""
    session = _session(file)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


@functools.cache
def _session(file: Path) -> Any:
    runtime = importlib.import_module("onnxruntime")
    return runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
