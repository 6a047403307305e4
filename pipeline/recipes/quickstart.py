"""SimCLR on 20,000 generated sprites of 32x32 pixels; no download, no labels in pretraining.

    twofold run quickstart

Cost: 1 minute on 2 CPU cores, from images to a verified model.

Shape accuracy on held-out images, seeds 0, 1, 2, in per cent: logistic regression 99.80 99.97
99.95, the recipe's probe 99.67 99.77 99.47, weighted kNN 99.82 99.95 99.87; chance is 33.3, and
the network untrained has 70.35, 66.22 and 91.18 (seed 0, ``method.name=random``). Rerun with
another ``--name`` and ``--set seed=1`` to see the spread. With ``training.precision=bfloat16``
logistic regression has 99.87 99.90 99.90, so the lower precision costs nothing here.
"""

from twofold.components.encoders.convolutional.core_settings import CoreSettings
from twofold.components.methods.contrastive.simclr_settings import SimCLRSettings
from twofold.components.transforms.policies_settings import AffineViewsSettings
from twofold.pipeline.config import DataConfig, DspritesSettings, RunConfig, TrainingSettings

CONFIG = RunConfig(
    name="quickstart",
    data=DataConfig(source=DspritesSettings(images=20_000), image_size=32),
    views=AffineViewsSettings(rotation_degrees=180, translation=0.2, scale=(0.8, 1.2)),
    encoder=CoreSettings(filters=(12, 32), units=(240, 168, 168), pooling="average"),
    method=SimCLRSettings(temperature=0.1),
    training=TrainingSettings(
        batch_size=250, epochs=12, learning_rate=3e-3, warmup_epochs=1.5, log_every=32
    ),
)
