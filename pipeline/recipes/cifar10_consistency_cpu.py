"""``cifar10_consistency`` with small ResNet-18s, for 2 CPU cores and CIFAR-10 as files.

    twofold run cifar10_consistency_cpu --set data.path=[train.zip,test.zip]

The networks are 32 times smaller than the published ones and see images of 32 pixels; teacher and
student train for 3 epochs each.

Cost: 17 minutes on 2 CPU cores that did other work, too. On CIFAR-10 recompressed as quality-75
JPEG, one run, test images, in per cent: the teacher with averaged weights 57.7 (55.8 on its
validation images before averaging), the student 54.0, logistic regression on the student's features
65.4 (95 % interval 64.4 to 66.3), weighted kNN 63.0. As in the reference's short runs the student
has not yet caught up with its teacher.
"""

from twofold.pipeline.config import override
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
