"""``cifar10_barlow_twins`` with a small ResNet-18, for 2 CPU cores and CIFAR-10 as files.

    twofold run cifar10_barlow_twins_cpu --set data.path=[train.zip,test.zip]

Adam with a cosine in place of LAMB, batches of 256, a projector of 512, 3 epochs.

Cost: 15 minutes on 2 CPU cores that did other work, too (18 of one core). The loss was still
falling.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import CIFAR10_JPEG, Expected
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

# Measured before the views became those of the publication.
_MEASURED = (
    "views.flip_probability=0.5",
    "views.saturation_of=luma",
    "views.sigma_drawn=image",
    "views.solarise_probability=0.2",
)
EXPECTED = (
    Expected(
        "linear_probe/test_accuracy",
        0.41,
        low=0.400,
        high=0.420,
        protocol=CIFAR10_JPEG,
        settings=_MEASURED,
    ),
    Expected("knn/test_accuracy", 0.364, protocol=CIFAR10_JPEG, settings=_MEASURED),
)

PRINTED_CURVES = "cifar10_barlow_twins"
