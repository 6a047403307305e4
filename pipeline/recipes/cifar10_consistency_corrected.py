"""``cifar10_consistency`` without the publication's two faults (recipe D).

    twofold run cifar10_consistency_corrected --set data.tfds_download=true

It differs from what is published, ``cifar10_consistency``, in that the teacher ends with the
weights that were averaged over its training (SWA, their batch statistics re-estimated), and that
the student's noise is added to the crop that the teacher sees.

Cost: written for one GPU, not yet measured there.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import Expected
from twofold.pipeline.recipes.cifar10_consistency import CONFIG as PUBLISHED

CONFIG = override(
    PUBLISHED,
    [
        "name=cifar10_consistency_corrected",
        "method.teacher.training.averaging={kind: swa}",
        "method.crops=shared",
    ],
)

EXPECTED = (
    Expected("teacher/test_accuracy", None),
    Expected("classifier/test_accuracy", None),
    Expected("robustness/mean_accuracy_all", None),
)
