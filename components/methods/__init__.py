"""Training methods, each of which makes a loss of a batch of images."""

from twofold.components.settings import import_settings

import_settings(__name__)
