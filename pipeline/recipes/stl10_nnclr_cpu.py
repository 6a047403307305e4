"""``stl10_nnclr`` for 2 CPU cores and a folder of photographs, of which a tenth keep their label.

    twofold run stl10_nnclr_cpu --set data.path=[train.zip,val.zip]

PENDING
"""

from pipeline.config import override
from pipeline.recipes.stl10_nnclr import CONFIG as PUBLISHED

CONFIG = override(
    PUBLISHED,
    [
        "name=stl10_nnclr_cpu",
        "data={source: folder, path: [train.zip, val.zip], image_size: 96, label_share: 0.1}",
        "method.queue_size=2500",
        "training.batch_size=250",
        "training.epochs=15",
    ],
)
