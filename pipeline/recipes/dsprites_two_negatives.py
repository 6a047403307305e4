"""SimCLR with two negatives an anchor, which nearly fails, on dSprites (recipe E).

    twofold run dsprites_two_negatives --set data.source=npz --set data.path=dsprites_subset.npz

Cost: as ``dsprites_simclr``, 10 minutes on 2 idle CPU cores. By its effective rank the embedding
uses 5.6 dimensions.
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
        "linear_probe/test_accuracy",
        0.664,
        published=0.6675,
        protocol=PUBLIC_DSPRITES,
        settings=("training.precision=bfloat16",),
        note="in bfloat16, as a part of `dsprites_study`",
    ),
    Expected(
        "recipe_probe/test_accuracy",
        0.5403,
        protocol=PUBLIC_DSPRITES,
        settings=("training.precision=bfloat16",),
    ),
    Expected(
        "knn/test_accuracy",
        0.7322,
        protocol=PUBLIC_DSPRITES,
        settings=("training.precision=bfloat16",),
    ),
)
