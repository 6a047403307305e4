"""The untrained network of the Neuromatch tutorial on dSprites, a floor for measures (recipe E).

    twofold run dsprites_random --set data.source=npz --set data.path=dsprites_subset.npz

Cost: half a minute on 2 CPU cores.

Nothing is trained; the statistics of batch normalisation are those of the training images, which
the reference's come to while its classifier is fitted.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import PUBLIC_DSPRITES, Expected
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

EXPECTED = (
    Expected(
        "recipe_probe/test_accuracy",
        None,
        published=0.4467,
        protocol=PUBLIC_DSPRITES,
        note="its probe trains 25 epochs",
    ),
)
