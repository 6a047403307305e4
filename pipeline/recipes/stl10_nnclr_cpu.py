"""``stl10_nnclr_long`` for 2 CPU cores and a folder of photographs, a tenth of them labelled.

    twofold run stl10_nnclr_cpu --set data.path=[train.zip,val.zip]

Of each step's 250 photographs 25 come from the labelled ones; 15 epochs of 20 steps. The queue
holds 2,500 projections, which is half an epoch.

Cost: 12 minutes on 2 CPU cores that did other work, too (16 of one core), for 5,000 photographs
of 96x96.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import IMAGENETTE, Expected
from twofold.pipeline.recipes.stl10_nnclr_long import CONFIG as LONG

CONFIG = override(
    LONG,
    [
        "name=stl10_nnclr_cpu",
        "data={source: folder, path: [train.zip, val.zip], image_size: 96, label_share: 0.1}",
        "method.queue_size=2500",
        "training.batch_size=250",
        "training.epochs=15",
        # As these results were measured with.
        "training.epsilon=null",
    ],
)

EXPECTED = (
    Expected("linear_probe/test_accuracy", 0.389, low=0.359, high=0.420, protocol=IMAGENETTE),
    Expected("knn/test_accuracy", 0.35, protocol=IMAGENETTE),
)
