"""The variational autoencoder of the Neuromatch tutorial on dSprites (recipe E).

    twofold run dsprites_vae --set data.source=npz --set data.path=dsprites_subset.npz

Cost: 25 seconds of one core an epoch, so an hour on 2 idle CPU cores for the 300.

The encoder's last dense layer, with its ReLU and normalisation, is the mean of the code, so that
the probes and the similarity matrix read the mean. Where a sprite lies and how large it is comes
back in ``figures/reconstructions.png``, its shape hardly: the publication's probe has 45.75.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import PUBLIC_DSPRITES, Expected
from twofold.pipeline.recipes.dsprites_simclr import CONFIG as SIMCLR

CONFIG = override(
    SIMCLR,
    [
        "name=dsprites_vae",
        "views.policy=none",
        "method.name=vae",
        "training.batch_size=500",
        "training.epochs=300",
        "evaluation.probe_epochs=25",
    ],
)

EXPECTED = (
    Expected(
        "recipe_probe/test_accuracy",
        None,
        published=0.4575,
        protocol=PUBLIC_DSPRITES,
        note="its probe trains 25 epochs",
    ),
)
