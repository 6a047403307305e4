"""The variational autoencoder of the Neuromatch tutorial on dSprites (recipe E).

    twofold run dsprites_vae --set data.source=npz --set data.path=dsprites_subset.npz

Cost: 25 seconds of one core an epoch, so an hour on 2 idle CPU cores for the 300.

The reference prints 45.75 per cent; the whole length was not run here. After 8 epochs, seed 0:
logistic regression 48.27 (95 % interval 46.7 to 49.8), the recipe's probe of 25 epochs 45.89,
weighted kNN 52.21; a loss of 702 nats an image, of which 70 are the divergence. Where a sprite lies
and how large it is comes back in ``figures/reconstructions.png``, its shape not yet.
"""

from twofold.pipeline.config import override
from twofold.pipeline.recipes.dsprites_simclr import CONFIG as SIMCLR

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
