"""``cifar10_barlow_twins`` with the views that its publication means.

    twofold run cifar10_barlow_twins_corrected --set data.tfds_download=true

Other than `cifar10_barlow_twins`, it solarises a fifth of the images, in their own range, and draws
a sigma of the blur for each image.

Cost: that of `cifar10_barlow_twins`.
Expected: not yet measured.
"""

from twofold.pipeline.config import override
from twofold.pipeline.config.expected import Expected
from twofold.pipeline.recipes.cifar10_barlow_twins import CONFIG as PUBLISHED

CONFIG = override(
    PUBLISHED, ["name=cifar10_barlow_twins_corrected", "views={policy: barlow_corrected}"]
)

EXPECTED = (Expected("pretrain/loss", None, note="its publication prints no value"),)
