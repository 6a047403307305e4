"""The untrained network of the Neuromatch tutorial on dSprites, a floor for measures (recipe E).

    twofold run dsprites_random --set data.source=npz --set data.path=dsprites_subset.npz

PENDING
"""

from pipeline.config import override
from pipeline.recipes.dsprites_simclr import CONFIG as SIMCLR

CONFIG = override(
    SIMCLR,
    [
        "name=dsprites_random",
        "views.policy=none",
        "method.name=random",
        "evaluation.probe_epochs=25",
    ],
)
