"""Training methods: what a batch of images becomes a loss by."""

from twofold.components.settings import import_settings

import_settings(__name__)
