"""SimCLR with two negatives an anchor, which nearly fails, on dSprites (recipe E).

    twofold run dsprites_two_negatives --set data.source=npz --set data.path=dsprites_subset.npz

Cost: as ``dsprites_simclr``, 10 minutes on 2 idle CPU cores. The reference prints 66.75 per cent,
where SimCLR with all negatives has 97.53. Shape accuracy on held-out images of the public subset,
seed 0, in bfloat16 (a part of ``dsprites_study``): logistic regression 66.40, the recipe's probe
54.03, weighted kNN 73.22. By its effective rank the embedding uses 5.6 dimensions.
"""

from twofold.pipeline.config import override
from twofold.pipeline.recipes.dsprites_simclr import CONFIG as SIMCLR

CONFIG = override(
    SIMCLR,
    ["name=dsprites_two_negatives", "method.negatives=2", "evaluation.probe_epochs=50"],
)
