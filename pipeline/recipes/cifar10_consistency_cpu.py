"""``cifar10_consistency`` with small ResNet-18s, for 2 CPU cores and CIFAR-10 as files.

    twofold run cifar10_consistency_cpu --set data.path=[train.zip,test.zip]

The networks are 32 times smaller than the published ones and see images of 32 pixels; teacher and
student train for 3 epochs each.

Cost: 17 minutes on 2 CPU cores that did other work, too. As in the reference's short runs the
student has not yet caught up with its teacher.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import CIFAR10_JPEG, Expected
from twofold.pipeline.recipes.cifar10_consistency import CONFIG as PUBLISHED

CONFIG = override(
    PUBLISHED,
    [
        "name=cifar10_consistency_cpu",
        "data={source: folder, path: [train.zip, test.zip], image_size: 32}",
        "data.validation_share=0.01",
        "encoder={name: resnet18, stem: small, width_multiplier: 0.25}",
        # In 3 epochs there is no standing still for 3.
        "method.teacher.training.epochs=3",
        "method.teacher.training.plateau=null",
        "method.teacher.training.averaging.start_epoch=1.5",
        "training.epochs=3",
        "training.plateau=null",
    ],
)

EXPECTED = (
    Expected("teacher/test_accuracy", 0.577, protocol=CIFAR10_JPEG),
    Expected("classifier/test_accuracy", 0.54, protocol=CIFAR10_JPEG),
    Expected("linear_probe/test_accuracy", 0.654, low=0.644, high=0.663, protocol=CIFAR10_JPEG),
    Expected("knn/test_accuracy", 0.63, protocol=CIFAR10_JPEG),
)
