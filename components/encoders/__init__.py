"""Encoders: networks that turn images into features, and the heads on top of them."""

from twofold.components.settings import import_settings

import_settings(__name__)
