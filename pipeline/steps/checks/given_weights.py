"""Check that an encoder can take the weights that settings name, before any image is prepared."""

from __future__ import annotations

from collections.abc import Collection

from twofold.components.encoders.build import read_torch_weights
from twofold.components.errors import CheckpointError, ConfigError
from twofold.components.methods.build import build_configured_encoder
from twofold.components.training.continuing.weight_source import find_weights
from twofold.pipeline.config import RunConfig
from twofold.pipeline.training.start_from import take_start

# Channels of colour images and of grey ones: which of them a data set has is not known yet.
_CHANNELS = (3, 1)


def check_given_weights(config: RunConfig, sizes: Collection[tuple[int, int]]) -> None:
    """Refuses ``training.start_from`` and ``method.weights`` that the encoder cannot take.

    Args:
        config: of the run.
        sizes: (H, W) of what the encoder sees, as far as it is known.

    Raises:
        ConfigError: if there are no such weights, or they cannot be read or do not fit.

    """
    for height, width in list(sizes)[:1]:
        faults = []
        for channels in _CHANNELS:
            try:
                _take(config, (height, width, channels))
            except ConfigError as error:
                faults.append(error)
        if len(faults) == len(_CHANNELS):
            raise faults[0]


def _take(config: RunConfig, image_shape: tuple[int, int, int]) -> None:
    encoder = build_configured_encoder(config.encoder, image_shape, config.seed)
    if config.training.start_from is not None:
        take_start(config, find_weights(config.training.start_from), {"encoder": encoder})
    weights = config.method.weights_file
    if weights is not None:
        try:
            read_torch_weights(config.encoder.name, encoder, weights)
        except CheckpointError as error:
            raise ConfigError(f"method.weights={weights}: {error}") from None
