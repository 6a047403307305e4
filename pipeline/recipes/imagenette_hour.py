"""What an hour of one CPU core teaches an encoder of photographs, of which a tenth have a label.

twofold run imagenette_hour --set data.path=[train.zip,val.zip]
"""

from pipeline.config import override
from pipeline.recipes.cifar10_hour import CONFIG as CIFAR10

CONFIG = override(
    CIFAR10,
    [
        "name=imagenette_hour",
        "data={source: folder, path: [train.zip, val.zip], image_size: 48, label_share: 0.1}",
        # A patch of 16 pixels is a ninth of such an image.
        "views.area=[0.1, 0.4]",
        "encoder.stride=8",
        "training.batch_size=100",
        "training.epochs=60",
        "training.warmup_epochs=2",
        "training.log_every=50",
        "training.checkpoint_every_epochs=5",
        "training.validation_images=500",
        "evaluation.regularisation_sweep=[0.03, 0.3]",
        "evaluation.baselines=[pixels, random]",
        "evaluation.finetune_epochs=20",
        "evaluation.finetune_from_scratch=true",
        "evaluation.finetune_views={policy: crop, area: [0.5, 1.0], brightness: 0.3, jitter: 0.1}",
        "evaluation.finetune_batch_size=25",
    ],
)
