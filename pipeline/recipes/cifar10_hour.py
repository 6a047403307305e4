"""What under an hour of one CPU core teaches an encoder of CIFAR-10, by our own design.

twofold run cifar10_hour --set data.source=folder --set data.tfds_name=null \
        --set data.image_size=32 --set data.path=[train.zip,test.zip]
"""

from pipeline.config import (
    DataConfig,
    EvaluationConfig,
    KMeansConfig,
    NoViewsConfig,
    PatchDictionaryConfig,
    RunConfig,
    TrainingConfig,
)

CONFIG = RunConfig(
    name="cifar10_hour",
    data=DataConfig(source="tfds", tfds_name="cifar10"),
    views=NoViewsConfig(),
    encoder=PatchDictionaryConfig(patch=6, atoms=800, grid=3),
    method=KMeansConfig(patches=32, whitening=0.3),
    training=TrainingConfig(
        batch_size=128,
        epochs=1,
        optimizer="adam",
        learning_rate=1e-2,
        log_every=39,
        validation_images=2000,
    ),
    evaluation=EvaluationConfig(regularisation=0.01, regularisation_sweep=(0.03, 0.1)),
)
