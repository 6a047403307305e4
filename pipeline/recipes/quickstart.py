"""SimCLR on 20,000 generated sprites of 32x32 pixels; no download, no labels in pretraining.

    twofold run quickstart

Cost: 1 minute on 2 CPU cores, from images to a verified model.

It has no projection head, other than the paper (``--set method.projector=null``).

Rerun with another ``--name`` and ``--set seed=1`` to see the spread.
``training.precision=bfloat16`` costs no accuracy here.
"""

from twofold.components.encoders.convolutional.core_settings import CoreSettings
from twofold.components.methods.contrastive.simclr_settings import SimCLRSettings
from twofold.components.transforms.policies_settings import AffineViewsSettings
from twofold.pipeline.config import DataConfig, DspritesSettings, RunConfig, TrainingSettings
from twofold.pipeline.config.expected import Expected

CONFIG = RunConfig(
    name="quickstart",
    data=DataConfig(source=DspritesSettings(images=20_000), image_size=32),
    views=AffineViewsSettings(rotation_degrees=180, translation=0.2, scale=(0.8, 1.2)),
    encoder=CoreSettings(filters=(12, 32), units=(240, 168, 168), pooling="average"),
    method=SimCLRSettings(temperature=0.1, projector=()),
    training=TrainingSettings(
        batch_size=250, epochs=12, learning_rate=3e-3, warmup_epochs=1.5, log_every=32
    ),
)

EXPECTED = (
    Expected(
        "linear_probe/test_accuracy",
        0.9990,
        low=0.9985,
        high=0.9997,
        seeds=(0, 1, 2),
        untrained=(0.662, 0.912),
        note="on one processor",
    ),
    Expected("recipe_probe/test_accuracy", 0.9937, low=0.9914, high=0.9955, seeds=(0, 1, 2)),
    Expected("knn/test_accuracy", 0.9984, low=0.9977, high=0.9995, seeds=(0, 1, 2)),
)
