"""``stl10_simclr`` for 2 CPU cores and a folder of photographs, of which a tenth keep their label.

    twofold run stl10_simclr_cpu --set data.path=[train.zip,val.zip]

Of each step's 250 photographs 25 come from the labelled ones; 15 epochs of 20 steps.

Cost: 11 minutes on 2 CPU cores that did other work, too (16 of one core), for 5,000 photographs
of 96x96. Imagenette at that size, 500 labels, one run, 1,000 held-out photographs of ten classes,
in per cent: logistic regression 39.5 (95 % interval 36.5 to 42.6), weighted kNN 37.1, online probe
25.5 and rising.
"""

from pipeline.config import override
from pipeline.recipes.stl10_simclr import CONFIG as PUBLISHED

CONFIG = override(
    PUBLISHED,
    [
        "name=stl10_simclr_cpu",
        "data={source: folder, path: [train.zip, val.zip], image_size: 96, label_share: 0.1}",
        "training.batch_size=250",
        "training.epochs=15",
    ],
)
