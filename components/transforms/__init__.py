"""Images to views: decoding, augmentation, and keyed randomness."""

from twofold.components.settings import import_settings

import_settings(__name__)
