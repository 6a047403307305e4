"""SimCLR on dSprites as the Neuromatch tutorial publishes it (recipe E).

twofold run dsprites_simclr --set data.source=npz --set data.path=dsprites_subset.npz
"""

from pipeline.config import (
    AffineViewsConfig,
    CoreConfig,
    DataConfig,
    EvaluationConfig,
    RunConfig,
    SimCLRConfig,
    TrainingConfig,
)

CONFIG = RunConfig(
    name="dsprites_simclr",
    data=DataConfig(
        source="dsprites",
        images=20_000,
        latent_names=("shape", "scale", "orientation", "posX", "posY"),
        label_latent="shape",
        # Of the public subset 16,045 images train with it: 16 steps an epoch, as published.
        split_seed=5,
    ),
    views=AffineViewsConfig(
        rotation_degrees=90, translation=0.2, scale=(0.8, 1.2), interpolation="nearest"
    ),
    encoder=CoreConfig(),
    method=SimCLRConfig(temperature=0.5),
    training=TrainingConfig(batch_size=1000, epochs=60, learning_rate=1e-3, schedule_epochs=500),
    evaluation=EvaluationConfig(probe_epochs=10, probe_schedule_epochs=100),
)
