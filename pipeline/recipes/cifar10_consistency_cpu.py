"""``cifar10_consistency`` with small ResNet-18s, for 2 CPU cores and CIFAR-10 as files.

    twofold run cifar10_consistency_cpu --set data.path=[train.zip,test.zip]

PENDING
"""

from pipeline.config import override
from pipeline.recipes.cifar10_consistency import CONFIG as PUBLISHED

CONFIG = override(
    PUBLISHED,
    [
        "name=cifar10_consistency_cpu",
        "data={source: folder, path: [train.zip, test.zip], image_size: 32}",
        "data.validation_share=0.01",
        "encoder={name: resnet18, stem: small, width_multiplier: 0.25}",
        "method.teacher.training.epochs=3",
        "method.teacher.training.averaging.start_epoch=1.5",
        "training.epochs=3",
    ],
)
