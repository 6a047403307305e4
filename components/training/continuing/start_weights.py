"""Start of a training from another one's weights, as far as they fit, and what was taken."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from twofold.components.errors import CheckpointError

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_MOMENTUM = "momentum_"


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a network took of a source.

    Attributes:
        weights: how many of its weights were taken.
        of: how many it has.
        left: its other weights, each with why it was not taken.

    """

    weights: int
    of: int
    left: tuple[str, ...] = ()


def read_networks(prefix: Path, names: Collection[str]) -> dict[str, dict[str, np.ndarray]]:
    """Reads the weights in a checkpoint by the names of networks and of their variables.

    Args:
        prefix: what the names of TensorFlow's files begin with.
        names: of the networks to read.

    Returns:
        For each thing that was saved, ``encoder`` among them, arrays by the variables' paths; of
        those that are not read, none.

    Raises:
        CheckpointError: if the files cannot be read.

    """
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(reader.get_tensor(_GRAPH))
        return {
            saved.local_name: {
                name: np.asarray(reader.get_tensor(key))
                for name, key in _variables(graph, saved.node_id)
                if saved.local_name in names
            }
            for saved in graph.nodes[0].children
        }
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{prefix}: expected weights that can be read: {error}") from error


def _variables(
    graph: trackable_object_graph_pb2.TrackableObjectGraph, start: int
) -> Iterator[tuple[str, str]]:
    """Gives the variables below an object: path, and key in the checkpoint.

    The key alone does not tell: a variable that an optimizer has, too, may be kept under that.
    """
    seen, waiting = {start}, [start]
    while waiting:
        node = graph.nodes[waiting.pop()]
        for one in node.attributes:
            if one.name == _VALUE:
                yield one.full_name, one.checkpoint_key
        new = [child.node_id for child in node.children if child.node_id not in seen]
        seen.update(new)
        waiting += new


def take_weights(network: keras.Model, arrays: Mapping[str, np.ndarray]) -> Taken:
    """Gives a network those weights that it has, by their paths, in their shapes.

    Args:
        network: in the strategy's scope; its other weights stay as they are.
        arrays: by the paths of variables.

    """
    left = []
    for variable in network.variables:
        array = arrays.get(variable.path)
        if array is None:
            left.append(f"{variable.path}: not there")
        elif tuple(array.shape) != tuple(variable.shape):
            left.append(f"{variable.path}: {_shape(array)} there, {_shape(variable)} here")
        else:
            variable.assign(array)
    count = len(network.variables)
    return Taken(count - len(left), count, tuple(left))


def follow_start(models: Mapping[str, keras.Model], memory: Mapping[str, Any]) -> list[str]:
    """Gives momentum networks the weights of those that they follow, as at any first step.

    Args:
        models: that are trained, by name.
        memory: of the method, ``momentum_encoder`` among it where there is one.

    Returns:
        The names of the momentum networks.

    """
    names = []
    for name, follower in memory.items():
        leader = models.get(name.removeprefix(_MOMENTUM))
        if name.startswith(_MOMENTUM) and leader is not None:
            for one, other in zip(follower.variables, leader.variables, strict=True):
                one.assign(tf.convert_to_tensor(other))
            names.append(name)
    return names


def _shape(one: Any) -> str:
    return "x".join(map(str, one.shape)) or "a number"
