"""NNCLR on STL-10 for 25 epochs of 200 steps, which keras.io's example advises (recipe B).

    twofold run stl10_nnclr_long --set data.tfds_download=true

It differs from ``stl10_nnclr``, the published run, on purpose: 500 + 25 images a step for 25
epochs, aspect ratios drawn log-uniformly (so that crops are as often upright as lying, as in the
paper), and accuracies of the projections, which the loss sees, instead of the features.

Cost: written for one GPU, not yet measured there. ``stl10_nnclr_cpu`` runs the same on a laptop.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import Expected
from twofold.pipeline.recipes.stl10_nnclr import CONFIG as PUBLISHED

CONFIG = override(
    PUBLISHED,
    [
        "name=stl10_nnclr_long",
        "views.aspect_scale=log",
        "probe_views.aspect_scale=log",
        "method.accuracies_of=projections",
        "training.batch_size=525",
        "training.labelled_batch_size=25",
        "training.epochs=25",
    ],
)

EXPECTED = (Expected("linear_probe/test_accuracy", None),)
