"""``cifar10_barlow_twins`` with a small ResNet-18, for 2 CPU cores and CIFAR-10 as files.

    twofold run cifar10_barlow_twins_cpu --set data.path=[train.zip,test.zip]

Adam with a cosine in place of LAMB, batches of 256, a projector of 512, 3 epochs.

Cost: 15 minutes on 2 CPU cores that did other work, too (18 of one core). On CIFAR-10 recompressed
as quality-75 JPEG, one run, 10,000 test images, in per cent: logistic regression 41.0 (95 %
interval 40.0 to 42.0), weighted kNN 36.4. The loss was still falling.
"""

from twofold.pipeline.config import override
from twofold.pipeline.recipes.cifar10_barlow_twins import CONFIG as PUBLISHED

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
        "training.exclude=[bias, norm]",
    ],
)
