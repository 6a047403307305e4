"""SimCLR on dSprites as the Neuromatch tutorial publishes it (recipe E).

    twofold run dsprites_simclr --set data.source=npz --set data.path=dsprites_subset.npz

Cost: 10 minutes on 2 CPU cores. Without the two settings it generates images of its own.

The publication has no projection head, as the paper has (``--set method.projector=null``).

``dsprites_best`` has settings of our own for a better encoder in a third of the time.

Loss of seed 0 after epochs 1, 2, 5, 10, 20, 40, 60: 7.29, 7.11, 7.05, 7.00, 6.98, 6.92, 6.63.
The reference, trained again in PyTorch: 7.29, 7.13, 7.05, 7.01, 6.98, 6.82, 6.54, and then 94.6 per
cent by the probe of 10 epochs.

Four things are part of the recipe though it does not say so. PyTorch's initial weights.
Torchvision's nearest-pixel sampling of the views: with bilinear sampling the loss falls faster
(6.84 after 5 epochs) and the shape is not learned (47.9 per cent after 60 epochs, one seed). The
split, which is drawn here as the publication's code draws it. And the statistics that batch
normalisation ends with: what the publication loads from a file counts as untrained there, so that
its classifier is fitted to batches normalised by themselves, and the moving statistics become those
of images without a view (``training.batch_statistics=images``). With the publication's own weights
and split the probe of 10 epochs reaches 97.6 per cent so, as published, and 96.5 with the
statistics of the views.
"""

from twofold.components.data.sources.permuted_split import PermutedSplit
from twofold.components.encoders.convolutional.core_settings import CoreSettings
from twofold.components.methods.contrastive.simclr_settings import SimCLRSettings
from twofold.components.transforms.policies_settings import AffineViewsSettings
from twofold.pipeline.config import (
    DataConfig,
    DspritesSettings,
    EvaluationConfig,
    RunConfig,
    TrainingSettings,
)
from twofold.pipeline.config.expected import PUBLIC_DSPRITES, Expected

CONFIG = RunConfig(
    name="dsprites_simclr",
    data=DataConfig(
        # The public set's file holds no names, so that these are for it, too.
        source=DspritesSettings(
            images=20_000,
            latent_names=("shape", "scale", "orientation", "posX", "posY"),
            label_latent="shape",
            # The publication's: 16,000 images to train on, and 4,000.
            permuted_split=PermutedSplit(seed=2021, test_share=0.2),
        ),
    ),
    views=AffineViewsSettings(
        rotation_degrees=90, translation=0.2, scale=(0.8, 1.2), interpolation="nearest"
    ),
    encoder=CoreSettings(),
    method=SimCLRSettings(temperature=0.5, projector=()),
    training=TrainingSettings(
        batch_size=1000,
        epochs=60,
        learning_rate=1e-3,
        schedule_epochs=500,
        schedule="cosine_wave",
        schedule_every="epoch",
        last_batch="keep",
        batch_statistics="images",
    ),
    evaluation=EvaluationConfig(probe_epochs=10, probe_schedule_epochs=100, rsm_images=None),
)

EXPECTED = (
    Expected(
        "recipe_probe/test_accuracy",
        0.8889,
        low=0.8435,
        high=0.9343,
        seeds=(0, 1),
        published=0.9753,
        protocol=PUBLIC_DSPRITES,
        note="the publication's own weights, read with method.name=pretrained: 97.62",
    ),
    Expected(
        "linear_probe/test_accuracy",
        0.9410,
        low=0.9105,
        high=0.9715,
        seeds=(0, 1),
        protocol=PUBLIC_DSPRITES,
        note="the publication's own weights: 98.70",
    ),
    Expected(
        "knn/test_accuracy",
        0.9623,
        low=0.9475,
        high=0.977,
        seeds=(0, 1),
        protocol=PUBLIC_DSPRITES,
    ),
)
