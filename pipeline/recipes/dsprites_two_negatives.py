"""SimCLR with two negatives an anchor, which nearly fails, on dSprites (recipe E).

    twofold run dsprites_two_negatives --set data.source=npz --set data.path=dsprites_subset.npz

Cost: as ``dsprites_simclr``, 10 minutes on 2 idle CPU cores.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import PUBLIC_DSPRITES, Expected
from twofold.pipeline.recipes.dsprites_simclr import CONFIG as SIMCLR

CONFIG = override(
    SIMCLR,
    ["name=dsprites_two_negatives", "method.negatives=2", "evaluation.probe_epochs=50"],
)

EXPECTED = (
    Expected(
        "recipe_probe/test_accuracy",
        None,
        published=0.6675,
        protocol=PUBLIC_DSPRITES,
        note="its probe trains 50 epochs",
    ),
)
