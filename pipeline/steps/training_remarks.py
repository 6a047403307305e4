"""Remarks on the settings of a training before it begins; no result depends on them."""

from __future__ import annotations

import tensorflow as tf

from twofold.components.training.precision import bfloat16_instructions
from twofold.pipeline.runs.run_context import Context


def remark_on_training(context: Context) -> None:
    """Says what a person may not expect of gradients that are accumulated, and of bfloat16."""
    training, method = context.config.training, context.config.method
    if training.accumulate > 1 and method.loss_of_batch:
        context.say(
            f"training.accumulate={training.accumulate}: the loss of {method.name} and batch "
            f"statistics see {training.batch_size // training.accumulate} images at a time, not "
            f"{training.batch_size}; accumulation adds no negatives"
        )
    trainings = {"training": training}
    if method.teacher_stage is not None:
        trainings["method.teacher.training"] = method.teacher_stage.training
    if tf.config.list_logical_devices("GPU") or bfloat16_instructions() != []:
        return
    for name, one in trainings.items():
        if one.precision == "bfloat16":
            context.say(
                f"{name}.precision=bfloat16: this processor has no instructions for it, and "
                f"float32 may be several times as fast"
            )
