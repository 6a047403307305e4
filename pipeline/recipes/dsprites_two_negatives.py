"""SimCLR with two negatives an anchor, which nearly fails, on dSprites (recipe E).

    twofold run dsprites_two_negatives --set data.source=npz --set data.path=dsprites_subset.npz

PENDING
"""

from pipeline.config import override
from pipeline.recipes.dsprites_simclr import CONFIG as SIMCLR

CONFIG = override(
    SIMCLR,
    ["name=dsprites_two_negatives", "method.negatives=2", "evaluation.probe_epochs=50"],
)
