"""Remarks on the settings of a training before it begins; no result depends on them."""

from __future__ import annotations

import tensorflow as tf

from twofold.components.training.precision import bfloat16_instructions
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.training.stage_configs import stage_configs

# Below so many steps an epoch, what fills no batch may be a good part of the images.
_FEW_STEPS = 10


def remark_on_batches(context: Context, images: int) -> None:
    """Says how many of so many training images are left out of each epoch, where that may be many.

    Args:
        context: of the run.
        images: to train on, in one stream.

    """
    training = context.config.training
    steps, left_out = divmod(images, training.batch_size)
    if training.last_batch == "drop" and 0 < steps < _FEW_STEPS and left_out:
        context.say(
            f"{steps} step{'s' if steps > 1 else ''} an epoch: {left_out:,} of {images:,} training "
            f"images fill no batch of {training.batch_size:,} and are left out of it, others each "
            f"time; a lower training.batch_size makes more steps"
        )


def remark_on_training(context: Context) -> None:
    """Says what a person may not expect of accumulation, early stopping and bfloat16."""
    training, method = context.config.training, context.config.method
    if training.accumulate > 1 and method.loss_of_batch:
        context.say(
            f"training.accumulate={training.accumulate}: the loss of {method.name} and batch "
            f"statistics see {training.batch_size // training.accumulate} images at a time, not "
            f"{training.batch_size}; accumulation adds no negatives"
        )
    trainings = {name: one.training for name, one in stage_configs(context.config).items()}
    for name, one in trainings.items():
        rule = one.early_stopping
        # The first epoch is the best so far in any case.
        if rule is not None and rule.patience >= one.epochs:
            kept = "; the best epoch's weights are kept" if rule.keep == "best" else ""
            context.say(
                f"{name}.early_stopping.patience={rule.patience} outlasts {name}.epochs="
                f"{one.epochs}: it ends nothing{kept}"
            )
    if tf.config.list_logical_devices("GPU") or bfloat16_instructions() != []:
        return
    for name, one in trainings.items():
        if one.precision == "bfloat16":
            context.say(
                f"{name}.precision=bfloat16: this processor has no instructions for it, and "
                f"float32 may be several times as fast"
            )
