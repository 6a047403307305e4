"""``cifar10_barlow_twins`` with a small ResNet-18, for 2 CPU cores and CIFAR-10 as files.

    twofold run cifar10_barlow_twins_cpu --set data.path=[train.zip,test.zip]

PENDING
"""

from pipeline.config import override
from pipeline.recipes.cifar10_barlow_twins import CONFIG as PUBLISHED

CONFIG = override(
    PUBLISHED,
    [
        "name=cifar10_barlow_twins_cpu",
        "data={source: folder, path: [train.zip, test.zip], image_size: 32}",
        "encoder={name: resnet18, stem: small, width_multiplier: 0.25}",
        "method.projector=[512, 512, 512]",
        "training.batch_size=256",
        "training.epochs=3",
        "training.learning_rate=0.002",
        "training.schedule=cosine",
        "training.warmup_epochs=0.5",
        "training.optimizer=adam",
    ],
)
