"""The supervised network of the Neuromatch tutorial on dSprites (recipe E).

    twofold run dsprites_supervised --set data.source=npz --set data.path=dsprites_subset.npz

PENDING
"""

from pipeline.config import override
from pipeline.recipes.dsprites_simclr import CONFIG as SIMCLR

CONFIG = override(
    SIMCLR,
    [
        "name=dsprites_supervised",
        "views.policy=none",
        "method.name=supervised",
        "training.epochs=10",
        "training.schedule_epochs=100",
    ],
)
