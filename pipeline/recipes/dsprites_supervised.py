"""The supervised network of the Neuromatch tutorial on dSprites (recipe E).

    twofold run dsprites_supervised --set data.source=npz --set data.path=dsprites_subset.npz

Cost: 1 minute on 2 CPU cores.

It is still climbing after its 10 epochs, so seeds differ. The classifier starts from PyTorch's
initial weights like the rest of the network.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import PUBLIC_DSPRITES, Expected
from twofold.pipeline.recipes.dsprites_simclr import CONFIG as SIMCLR

CONFIG = override(
    SIMCLR,
    [
        "name=dsprites_supervised",
        "views.policy=none",
        "method.name=supervised",
        "training.epochs=10",
        "training.schedule_epochs=100",
        "training.batch_statistics=training",
    ],
)

EXPECTED = (
    Expected(
        "classifier/test_accuracy",
        None,
        published=0.9870,
        protocol=PUBLIC_DSPRITES,
    ),
)
