"""SimCLR on dSprites with settings of our own, for a better encoder in a third of the time.

    twofold run dsprites_best --set data.source=npz --set data.path=dsprites_subset.npz

Cost: 3 minutes on 2 CPU cores.

Shape accuracy on held-out images of the public subset, seeds 0, 1, 2: 100.00, 100.00, 100.00 per
cent by logistic regression, by the recipe's probe and by kNN alike, so no error among 3,955 images
(95 % interval of each run: 99.90 to 100). Five of these equal a training image pixel by pixel.
With 1, 5 and 10 % of the labels, drawn three times each, logistic regression has 100.00, too
(seed 0).

Some of it is the network's own: untrained (``--set method.name=random --set views.policy=none``,
seed 0) it has 95.04 by logistic regression, 85.41 by the recipe's probe, 99.67 by kNN, and 79.5,
90.6, 92.4 with 1, 5, 10 % of the labels.

It changes four things of ``dsprites_simclr``. The convolutions are averaged over all positions
instead of flattened: where a sprite lies is then not the network's first and easiest answer. They
and the dense layers are twice as wide. Temperature 0.1 instead of 0.5 lets the nearest negatives
count, sprites of another shape at a like place and size. And batches of 250 at a rate of 3e-3 make
four times the steps an epoch, for 12 epochs.
"""

from twofold.pipeline.config import override
from twofold.pipeline.recipes.dsprites_simclr import CONFIG as PUBLISHED

CONFIG = override(
    PUBLISHED,
    [
        "name=dsprites_best",
        "encoder.pooling=average",
        "encoder.filters=[12, 32]",
        "encoder.units=[240, 168, 168]",
        "method.temperature=0.1",
        "training.batch_size=250",
        "training.epochs=12",
        "training.learning_rate=0.003",
        "training.warmup_epochs=1.5",
        "training.schedule_epochs=null",
        "evaluation.label_fractions=[0.01, 0.05, 0.1]",
    ],
)
