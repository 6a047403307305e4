"""SimCLR on generated sprites.

twofold run quickstart
"""

from pipeline.config import (
    AffineViewsConfig,
    CoreConfig,
    DataConfig,
    RunConfig,
    SimCLRConfig,
    TrainingConfig,
)

CONFIG = RunConfig(
    name="quickstart",
    data=DataConfig(source="dsprites", images=20_000, image_size=32),
    views=AffineViewsConfig(rotation_degrees=180, translation=0.3, scale=(0.6, 1.4)),
    encoder=CoreConfig(filters=(12, 32), units=(240, 168, 168), pooling="average"),
    method=SimCLRConfig(temperature=0.1),
    training=TrainingConfig(
        batch_size=250, epochs=24, learning_rate=3e-3, warmup_epochs=1.5, log_every=32
    ),
)
