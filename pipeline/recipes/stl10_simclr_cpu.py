"""``stl10_simclr`` for 2 CPU cores and a folder of photographs, of which a tenth keep their label.

    twofold run stl10_simclr_cpu --set data.path=[train.zip,val.zip]

Of each step's 250 photographs 25 come from the labelled ones; 15 epochs of 20 steps.

Cost: 11 minutes on 2 CPU cores that did other work, too (16 of one core), for 5,000 photographs
of 96x96, before the fine-tuning, which sees 20,000 images more.

Imagenette at that size, 500 labels, one run, 1,000 held-out photographs of ten classes, accuracy
after the last epoch in per cent with 95 % intervals: fine-tuned 47.7 (44.6 to 50.8), the same
network from first weights 39.0 (36.0 to 42.1); logistic regression on the frozen encoder 41.7 (38.7
to 44.8), weighted kNN 38.1, the online probe 31.1 and rising. An earlier run, on another processor,
had 39.5 (36.5 to 42.6), 37.1 and 25.5 for the last three.
"""

from twofold.pipeline.config import override
from twofold.pipeline.recipes.stl10_simclr import CONFIG as PUBLISHED

CONFIG = override(
    PUBLISHED,
    [
        "name=stl10_simclr_cpu",
        "data={source: folder, path: [train.zip, val.zip], image_size: 96, label_share: 0.1}",
        "training.batch_size=250",
        "training.epochs=15",
    ],
)
