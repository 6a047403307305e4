"""Check of the size of images, by the settings or a source's first ones, before any is prepared."""

from __future__ import annotations

from twofold.components.data.rules.image_rules import RejectedError, check
from twofold.components.data.sources.source import Source
from twofold.components.errors import UnfitSettingsError
from twofold.pipeline.config import RunConfig
from twofold.pipeline.config.data_source import preparation_settings

# Images of a source that are looked at before all of them are prepared.
_LOOKED_AT = 16


def check_image_size(config: RunConfig, source: Source) -> set[tuple[int, int]]:
    """Refuses networks that do not take images of ``data.image_size``, or else of their own size.

    Returns:
        The size, (H, W); empty where none of the first images can be used.

    Raises:
        SettingsError: if a network does not take images of that size.
        UnfitSettingsError: if the first images have several sizes, and none to bring them to.

    """
    side = config.data.image_size
    if side is not None:
        config.method.check_image(config.encoder, side, side)
        return {(side, side)}
    task = next(iter(source.tasks(_LOOKED_AT)), None)
    rules = preparation_settings(config.data).images
    sizes: set[tuple[int, int]] = set()
    for item in () if task is None else source.read(task):
        if item.problem is not None:
            continue
        try:
            height, width = check(item.image, rules).pixels.shape[:2]
            sizes.add((height, width))
        except RejectedError:
            continue
    if len(sizes) > 1:
        listed = ", ".join(f"{height}x{width}" for height, width in sorted(sizes)[:4])
        raise UnfitSettingsError(
            f"the images have {len(sizes)} sizes or more ({listed}): set data.image_size to the "
            f"side in pixels that the encoder should see"
        )
    for height, width in sizes:
        config.method.check_image(config.encoder, height, width)
    return sizes
