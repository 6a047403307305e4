"""The variational autoencoder of the Neuromatch tutorial on dSprites (recipe E).

    twofold run dsprites_vae --set data.source=npz --set data.path=dsprites_subset.npz

PENDING
"""

from pipeline.config import override
from pipeline.recipes.dsprites_simclr import CONFIG as SIMCLR

CONFIG = override(
    SIMCLR,
    [
        "name=dsprites_vae",
        "views.policy=none",
        "method.name=vae",
        "training.batch_size=500",
        "training.epochs=300",
        "training.schedule=constant",
        "training.schedule_epochs=null",
        "evaluation.probe_epochs=25",
    ],
)
