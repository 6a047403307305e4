"""Gradient checkpointing: a network whose blocks compute their activations again on the way back.

Chen et al. (2016), "Training Deep Nets with Sublinear Memory Cost", section 4: between forward and
backward only what enters a block is kept, so that activations take the memory of the largest block
and not of all, for one more way forward. Keras's ``RematScope`` keeps what enters every layer,
which saves little, and moves a normalisation's statistics once more on the way back.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from twofold.components.errors import SettingsError


def recompute_activations(model: keras.Model) -> None:
    """Lets a network compute the activations of its blocks again, in training, where it is called.

    Weights and their names stay as they are; statistics, features and gradients are the same in
    exact arithmetic, and in float32 to the last digits, since kernels are fused otherwise.

    Args:
        model: functional and built; its blocks are those of ``in_block``.

    Raises:
        SettingsError: if it has no two blocks through which all that it computes goes in turn.

    """
    blocks = _cut(model)
    if len(blocks) < 2:
        raise SettingsError(
            f"training.recompute_activations=true: the encoder {model.name} is one block, expected "
            f"one of several in a row, such as encoder.name=resnet50"
        )
    plain = model.call

    def call(inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        if not training:
            return plain(inputs, training=training, mask=mask)
        for block in blocks:
            inputs = _recomputed(block, inputs)
        return inputs

    model.call = call


def _recomputed(block: keras.Model, inputs: tf.Tensor) -> tf.Tensor:
    """Calls a block in training without keeping what it computes in between."""
    fixed = [tf.convert_to_tensor(one.value) for one in block.non_trainable_variables]
    moved: list[tf.Tensor] = []
    # What a caller has entered is not entered any more on the way back.
    context = contextvars.copy_context()

    def forward(x: tf.Tensor, weights: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        outputs, updated = context.run(
            block.stateless_call, list(weights), list(fixed), x, training=True
        )
        return outputs, updated

    @tf.custom_gradient
    def run(
        x: tf.Tensor, *weights: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        outputs, updated = forward(x, weights)
        moved.extend(updated)

        def backward(upstream: tf.Tensor) -> list[tf.Tensor]:
            again = _after(upstream, x)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([again, *weights])
                outputs, _ = forward(again, weights)
            gradients: list[tf.Tensor] = tape.gradient(
                outputs,
                [again, *weights],
                upstream,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            return gradients

        return outputs, backward

    outputs = run(inputs, *(tf.convert_to_tensor(one.value) for one in block.trainable_variables))
    for variable, value in zip(block.non_trainable_variables, moved, strict=True):
        variable.assign(value)
    return outputs


def _after(upstream: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Returns a tensor once the gradient is there, which compilers would otherwise not wait for.

    They would find the same computed twice, and keep what the first time gave.
    """
    one = tf.reshape(upstream, [-1])[0]
    nothing = tf.where(tf.equal(one, one), tf.zeros_like(one), one)
    return x + tf.cast(nothing, x.dtype)


def _cut(model: keras.Model) -> list[keras.Model]:
    """Cuts a network between blocks, where a single tensor goes from one to the next."""
    if not hasattr(model, "_nodes_by_depth"):
        # What it computes in which order is known to itself alone.
        return []
    by_depth = model._nodes_by_depth
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    last_use = {
        id(tensor): index for index, node in enumerate(nodes) for tensor in node.input_tensors
    }
    blocks: list[keras.Model] = []
    live: dict[int, keras.KerasTensor] = {}
    begin = end = model.inputs[0]
    current = None
    names: set[str] = set()
    for index, node in enumerate(nodes):
        live |= {id(tensor): tensor for tensor in node.outputs}
        live = {key: one for key, one in live.items() if last_use.get(key, len(nodes)) > index}
        if (name := getattr(node.operation, "block", None)) is not None:
            names.add(name)
        if len(live) > 1:
            continue
        # From the last place to cut to here. What belongs to no block goes with the one before.
        if names and current is not None and names != current:
            blocks.append(keras.Model(begin, end))
            begin = end
        current, names = names or current, set()
        (end,) = live.values()
    return [*blocks, keras.Model(begin, end)]
