"""``stl10_simclr`` for 2 CPU cores and a folder of photographs, of which a tenth keep their label.

    twofold run stl10_simclr_cpu --set data.path=[train.zip,val.zip]

Of each step's 250 photographs 25 come from the labelled ones; 15 epochs of 20 steps.

Cost: 11 minutes on 2 CPU cores that did other work, too (16 of one core), for 5,000 photographs
of 96x96, before the fine-tuning, which sees 20,000 images more.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import IMAGENETTE, Expected
from twofold.pipeline.recipes.stl10_simclr import CONFIG as PUBLISHED

CONFIG = override(
    PUBLISHED,
    [
        "name=stl10_simclr_cpu",
        "data={source: folder, path: [train.zip, val.zip], image_size: 96, label_share: 0.1}",
        "training.batch_size=250",
        "training.epochs=15",
        # As these results were measured with.
        "training.epsilon=null",
    ],
)

EXPECTED = (
    Expected(
        "linear_probe/test_accuracy",
        0.406,
        low=0.395,
        high=0.417,
        protocol=IMAGENETTE,
        note="two runs on two processors",
    ),
    Expected("knn/test_accuracy", 0.376, low=0.371, high=0.381, protocol=IMAGENETTE),
    Expected("finetune/test_accuracy", 0.477, low=0.446, high=0.508, protocol=IMAGENETTE),
    Expected("finetune_scratch/test_accuracy", 0.39, low=0.360, high=0.421, protocol=IMAGENETTE),
)

PRINTED_CURVES = "stl10_simclr"
