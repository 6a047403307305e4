"""Stage configurations: of each training of a run, its own and that of a teacher."""

from __future__ import annotations

from twofold.components.methods.labelled.supervised_settings import SupervisedSettings
from twofold.pipeline.config import RunConfig

# The sections of a configuration that hold the settings of a training.
TRAINING_SECTION = "training"
TEACHER_SECTION = "method.teacher.training"


def stage_configs(config: RunConfig) -> dict[str, RunConfig]:
    """Gives the configuration of each training of a run, by the section of its settings.

    A teacher is a supervised network with batches, an optimizer and a schedule of its own.
    """
    stages = {TRAINING_SECTION: config}
    teacher = config.method.teacher_stage
    if teacher is not None:
        stages[TEACHER_SECTION] = config.model_copy(
            update={
                "encoder": teacher.encoder or config.encoder,
                "method": SupervisedSettings(),
                "training": teacher.training,
            }
        )
    return stages
