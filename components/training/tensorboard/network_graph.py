"""Network graph: the trained networks as TensorBoard draws them, one box each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf


def network_graph(models: Mapping[str, keras.Model], image_shape: tuple[int, int, int]) -> Any:
    """Traces networks in inference mode, each on inputs of its own.

    A network that takes what the encoder gives is drawn behind it.

    Args:
        models: by name, "encoder" among them; with one input each.
        image_shape: (H, W, C) of the images, which an encoder that takes any size does not say.

    Returns:
        A ``tf.Graph``.

    """
    encoder = models["encoder"]
    others = {name: model for name, model in sorted(models.items()) if name != "encoder"}
    following = {
        name for name, model in others.items() if model.input_shape[1:] == encoder.output_shape[1:]
    }

    @tf.function(autograph=False)
    def networks(**inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.name_scope("encoder"):
            features = encoder(inputs["encoder"], training=False)
        outputs = [features]
        for name, model in others.items():
            with tf.name_scope(name):
                given = features if name in following else inputs[name]
                outputs.append(model(given, training=False))
        return outputs

    given = {
        name: tf.TensorSpec(
            [None, *(image_shape if name == "encoder" else model.input_shape[1:])],
            tf.float32,
            name=f"{name}_input",
        )
        for name, model in models.items()
        if name not in following
    }
    return networks.get_concrete_function(**given).graph
