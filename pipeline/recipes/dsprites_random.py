"""The untrained network of the Neuromatch tutorial on dSprites, a floor for measures (recipe E).

    twofold run dsprites_random --set data.source=npz --set data.path=dsprites_subset.npz

Cost: half a minute on 2 CPU cores.

Shape accuracy on held-out images of the public subset, seed 0, in per cent: logistic regression
43.46 (95 % interval 41.9 to 45.0), the recipe's probe of 25 epochs 43.51, weighted kNN 69.28; the
reference prints 44.67. Nothing is trained; the statistics of batch normalisation are those of the
training images, since the reference's untrained network uses its batches' own.
"""

from twofold.pipeline.config import override
from twofold.pipeline.recipes.dsprites_simclr import CONFIG as SIMCLR

CONFIG = override(
    SIMCLR,
    [
        "name=dsprites_random",
        "views.policy=none",
        "method.name=random",
        "evaluation.probe_epochs=25",
    ],
)
