"""Expected time of a preparation, from how long its first images take."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable

from twofold.components.data.rules.image_rules import RejectedError, check
from twofold.components.data.sources.source import Source
from twofold.pipeline.config import RunConfig
from twofold.pipeline.config.data_source import preparation_settings

_TIMED = 64
# Fewer images are soon prepared, whatever they are.
_FEW = 10_000
# Hashes for duplicates, sums and writing take about as long as reading and decoding, and so many
# seconds an image at least: 50,000 of 32 pixels take 13 s, 20,000 generated ones 12.
_BESIDE_DECODING, _LEAST = 2.0, 3e-4


def expected_preparation(
    config: RunConfig, source: Source, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Returns the seconds that one worker takes to prepare a source, as its first images tell.

    Args:
        config: of the run.
        source: of the images.
        clock: seconds.

    """
    total = source.info().items
    if total < _FEW:
        return 0.0
    task = next(iter(source.tasks(_TIMED)))
    rules, times, began = preparation_settings(config.data).images, [], clock()
    for item in source.read(task):
        with contextlib.suppress(RejectedError):
            check(item.image, rules)
        now = clock()
        times.append(now - began)
        began = now
    # The first one opens what the others find open.
    return total * (_LEAST + _BESIDE_DECODING * statistics.median(times))
