"""SimCLR on dSprites with settings of our own, for a better encoder in a third of the time.

    twofold run dsprites_best --set data.source=npz --set data.path=dsprites_subset.npz

Cost: 3 minutes on 2 CPU cores.

No error among 3,955 held-out images of the public subset. Five of these equal a training image
pixel by pixel. With 1, 5 and 10 % of the labels, drawn three times each, there is none, either.

Some of it is the network's own: untrained (``--set method.name=random --set views.policy=none``,
seed 0) it has 95.04 by logistic regression, 85.41 by the recipe's probe, 99.67 by kNN, and 79.5,
90.6, 92.4 with 1, 5, 10 % of the labels.

It changes four things of ``dsprites_simclr``, and keeps a split of its own. The convolutions are
averaged over all positions instead of flattened: where a sprite lies is then not the network's
first and easiest answer. They and the dense layers are twice as wide. Temperature 0.1 instead of
0.5 lets the nearest negatives count, sprites of another shape at a like position and size. And
batches of 250 at a rate of 3e-3 make four times the steps an epoch, for 12 epochs.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import PUBLIC_DSPRITES, Expected
from twofold.pipeline.recipes.dsprites_simclr import CONFIG as PUBLISHED

CONFIG = override(
    PUBLISHED,
    [
        "name=dsprites_best",
        "data.permuted_split=null",
        "data.split_seed=5",
        "encoder.pooling=average",
        "encoder.filters=[12, 32]",
        "encoder.units=[240, 168, 168]",
        "method.temperature=0.1",
        "training.batch_size=250",
        "training.epochs=12",
        "training.learning_rate=0.003",
        "training.warmup_epochs=1.5",
        "training.schedule=cosine",
        "training.schedule_epochs=null",
        "training.schedule_every=step",
        "training.last_batch=drop",
        "training.batch_statistics=training",
        "evaluation.rsm_images=600",
        "evaluation.label_fractions=[0.01, 0.05, 0.1]",
    ],
)

# The cosine that was then: it ended a warm-up later than the training.
_MEASURED = ("training.schedule_epochs=13.5",)
EXPECTED = tuple(
    Expected(
        metric,
        1.0,
        low=1.0,
        high=1.0,
        seeds=(0, 1, 2),
        untrained=(untrained,),
        tuned=True,
        protocol=PUBLIC_DSPRITES,
        settings=_MEASURED,
    )
    for metric, untrained in (
        ("linear_probe/test_accuracy", 0.9504),
        ("recipe_probe/test_accuracy", 0.8541),
        ("knn/test_accuracy", 0.9967),
        ("label_fraction/0.01/test_accuracy", 0.795),
    )
)
