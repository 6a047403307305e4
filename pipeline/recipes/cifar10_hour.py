"""What an hour of one CPU core teaches an encoder of CIFAR-10, by our own design.

twofold run cifar10_hour --set data.path=[train.zip,test.zip]
"""

from pipeline.config import (
    BagOfPatchesConfig,
    DataConfig,
    EMPSSLConfig,
    EvaluationConfig,
    PatchesViewsConfig,
    RunConfig,
    TrainingConfig,
)

CONFIG = RunConfig(
    name="cifar10_hour",
    data=DataConfig(source="tfds", tfds_name="cifar10"),
    views=PatchesViewsConfig(side=16, area=(0.2, 0.6)),
    encoder=BagOfPatchesConfig(patch=16, filters=(32, 64, 128, 256), features=2048),
    method=EMPSSLConfig(patches=8),
    training=TrainingConfig(
        batch_size=128,
        epochs=8,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=1e-4,
        warmup_epochs=0.4,
        clip_norm=10.0,
        precision="bfloat16",
        log_every=65,
        checkpoint_every_epochs=1,
    ),
    # Weak penalties take logistic regressions of so many features many minutes to converge.
    evaluation=EvaluationConfig(regularisation=0.003, regularisation_sweep=()),
)
