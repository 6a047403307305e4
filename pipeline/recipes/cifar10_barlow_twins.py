"""Barlow Twins on CIFAR-10 as keras.io publishes it (recipe C).

    twofold run cifar10_barlow_twins --set data.tfds_download=true

A ResNet-34 of its own kind with 512 features, a projector of three layers of 5,000, LAMB, batches
of 512, 160 epochs of 97 steps. The paper's projector has layers of 8,192. Other than
`cifar10_barlow_twins_corrected`, it solarises nothing and blurs all images with one sigma, which is
drawn once for the run.

Cost: written for one GPU, not yet measured there; on 2 CPU cores an epoch takes about half an hour
of one core.
Expected: the reference prints a loss of 3480.8 after the first epoch, 2163.4 after the second and
781.7 after the last, and 68.2 per cent for a linear classifier on the projector's output, which is
here the recipe's probe; the converged probe and kNN read the encoder's.
"""

from twofold.components.encoders.residual.resnet_settings import ResNet34PublishedSettings
from twofold.components.methods.redundancy.barlow_twins_settings import BarlowTwinsSettings
from twofold.components.transforms.policies_settings import BarlowViewsSettings
from twofold.pipeline.config import (
    DataConfig,
    EvaluationConfig,
    RunConfig,
    TfdsSettings,
    TrainingSettings,
)
from twofold.pipeline.config.expected import CIFAR10_JPEG, Expected

CONFIG = RunConfig(
    name="cifar10_barlow_twins",
    data=DataConfig(source=TfdsSettings(tfds_name="cifar10"), image_size=32),
    views=BarlowViewsSettings(),
    # Keras's defaults, in the projector as well.
    encoder=ResNet34PublishedSettings(batch_norm_momentum=0.99, batch_norm_epsilon=1e-3),
    method=BarlowTwinsSettings(projector=(5000, 5000, 5000)),
    training=TrainingSettings(
        batch_size=512,
        epochs=160,
        optimizer="lamb",
        learning_rate=1e-3,
        schedule="constant",
        # LAMB as the reference has it adapts and decays every weight alike.
        exclude=(),
    ),
    evaluation=EvaluationConfig(
        probe_reads="projections",
        probe_epochs=35,
        probe_schedule_epochs=None,
        probe_batch_size=512,
        probe_last_batch="drop",
        probe_optimizer="lamb",
        probe_penalty=0.02,
        probe_initializer="keras",
    ),
)

EXPECTED = (
    Expected(
        "pretrain/loss",
        None,
        published=781.7,
        note="the reference prints 3480.8 after the first epoch",
        protocol=CIFAR10_JPEG,
    ),
    Expected(
        "recipe_probe/test_accuracy",
        None,
        published=0.6821,
        note="after 160 epochs, on 9,728 of the 10,000 test images",
        protocol=CIFAR10_JPEG,
    ),
)

PRINTED_CURVES = "cifar10_barlow_twins"
