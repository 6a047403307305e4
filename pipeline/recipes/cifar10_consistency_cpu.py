"""``cifar10_consistency_corrected`` with small ResNet-18s, for 2 CPU cores and CIFAR-10 as files.

    twofold run cifar10_consistency_cpu --set data.path=[train.zip,test.zip]

The networks are 32 times smaller than the published ones and see images of 32 pixels, so that the
lengths in pixels of windows and noise are 32/72 of the published; teacher and student train for 3
epochs each, and 1,000 test images are corrupted.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import CIFAR10_JPEG, Expected
from twofold.pipeline.recipes.cifar10_consistency_corrected import CONFIG as CORRECTED

CONFIG = override(
    CORRECTED,
    [
        "name=cifar10_consistency_cpu",
        "data={source: folder, path: [train.zip, test.zip], image_size: 32}",
        "data.validation_share=0.01",
        "views={policy: resized_window, resized: 43, side: 32}",
        "encoder={name: resnet18, stem: small, width_multiplier: 0.25}",
        "method.noise.cutout=18",
        "method.noise.translation=44",
        # In 3 epochs there is no standing still for 3.
        "method.teacher.training.epochs=3",
        "method.teacher.training.plateau=null",
        "method.teacher.training.averaging.start_epoch=1.5",
        "training.epochs=3",
        "training.plateau=null",
        "evaluation.corruption_images=1000",
    ],
)

EXPECTED = (
    Expected("teacher/test_accuracy", None, protocol=CIFAR10_JPEG),
    Expected("classifier/test_accuracy", None, protocol=CIFAR10_JPEG),
    Expected("robustness/mean_accuracy_all", None, protocol=CIFAR10_JPEG),
)

PRINTED_CURVES = "cifar10_consistency"
