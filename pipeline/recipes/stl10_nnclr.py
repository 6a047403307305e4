"""NNCLR with an online probe on STL-10, as keras.io publishes it (recipe B).

    twofold run stl10_nnclr --set data.tfds_download=true

As ``stl10_simclr``, but a view's positive is its nearest neighbour in a queue of 10,000 earlier
projections, and the views are crops with a change of brightness. 2,000 images without a label and
100 with one make a step, 50 steps an epoch, 5 epochs, as the published run is printed.

The paper has a projector of three batch-normalised layers, a prediction head, a queue of 98,304,
and no gradient through a neighbour.

``stl10_nnclr_long`` differs on purpose: the batches and epochs that the publication advises,
aspect ratios drawn log-uniformly, and accuracies of the projections instead of the features.

Cost: written for one GPU, not yet measured there. Expected: the reference prints no value.
"""

from twofold.components.methods.contrastive.nnclr_settings import NNCLRSettings
from twofold.components.transforms.policies_settings import (
    NNCLRViewsSettings,
    NNCLRWeakViewsSettings,
)
from twofold.pipeline.config import EvaluationConfig
from twofold.pipeline.config.expected import Expected
from twofold.pipeline.recipes.stl10_simclr import CONFIG as SIMCLR

CONFIG = SIMCLR.model_copy(
    update={
        "name": "stl10_nnclr",
        "views": NNCLRViewsSettings(),
        "probe_views": NNCLRWeakViewsSettings(),
        "method": NNCLRSettings(
            temperature=0.1,
            queue_size=10_000,
            projector=(128, 128),
            projector_batch_norm=False,
            predictor=(),
            neighbour_gradient=True,
        ),
        "training": SIMCLR.training.model_copy(
            update={"batch_size": 2100, "labelled_batch_size": 100, "epochs": 5}
        ),
        # The publication trains no network with labels.
        "evaluation": EvaluationConfig(),
    }
)

EXPECTED = (Expected("linear_probe/test_accuracy", None, note="the reference prints no value"),)
