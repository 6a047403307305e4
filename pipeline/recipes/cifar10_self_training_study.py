"""Whether a noisy student is more robust than its teacher: recipe D's question, made small.

    twofold run cifar10_self_training_study --set data.path=[train.zip,test.zip] \
        --set study.seeds=[0,1,2]
"""

from pipeline.config import StudyConfig, override
from pipeline.recipes.cifar10_consistency_cpu import CONFIG as SELF_TRAINING

_TRAINING = "precision: bfloat16, batch_size: 128, schedule: cosine, checkpoint_every_epochs: 4"

CONFIG = override(
    SELF_TRAINING,
    [
        "name=cifar10_self_training_study",
        "data.training_images=20000",
        "encoder={name: conv4, width: 128}",
        f"training={{{_TRAINING}, epochs: 8}}",
        f"method.teacher.training={{{_TRAINING}, epochs: 8}}",
        "evaluation.robustness=main",
        "evaluation.robustness_classifier=classifier",
        "evaluation.corruption_images=1000",
        "evaluation.regularisation=0.1",
        "evaluation.regularisation_sweep=[]",
        "evaluation.measures=[]",
    ],
).model_copy(
    update={
        "study": StudyConfig(
            encoders={
                "student": (),
                # The student's views and length, without a teacher.
                "augmented": ("method={name: supervised}", "views={policy: randaugment}"),
            },
            pixels=None,
        )
    }
)
