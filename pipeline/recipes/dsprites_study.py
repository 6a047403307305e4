"""Recipe E's study: six views of the same sprites, side by side (Neuromatch's tutorial).

twofold run dsprites_study --set data.source=npz --set data.path=dsprites_subset.npz
"""

from pipeline.config import StudyConfig
from pipeline.recipes.dsprites_simclr import CONFIG as SIMCLR

CONFIG = SIMCLR.model_copy(
    update={
        "name": "dsprites_study",
        "training": SIMCLR.training.model_copy(update={"precision": "bfloat16"}),
        "study": StudyConfig(
            encoders={
                "supervised": (
                    "views.policy=none",
                    "method.name=supervised",
                    "training.epochs=10",
                    "training.schedule_epochs=null",
                ),
                "random": (
                    "views.policy=none",
                    "method.name=random",
                    "evaluation.probe_epochs=25",
                ),
                "simclr": ("training.epochs=100", "training.schedule_epochs=120"),
                "two_negatives": ("method.negatives=2", "evaluation.probe_epochs=50"),
                "vae": (
                    "views.policy=none",
                    "method.name=vae",
                    "training.batch_size=500",
                    "training.epochs=100",
                    "training.schedule=constant",
                    "training.schedule_epochs=null",
                    "evaluation.probe_epochs=25",
                ),
            },
            label_fractions=(0.05, 0.1, 0.2, 0.4, 0.75, 1.0),
            reference={
                "raw": 0.3955,
                "supervised": 0.9870,
                "random": 0.4467,
                "vae": 0.4575,
                "simclr": 0.9753,
                "two_negatives": 0.6675,
            },
        ),
    }
)
