"""Silence while Beam and Pillow work: what fails is raised or counted, whatever they print."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No logging and no warnings within the block.

    Beam logs warnings on import and every worker's traceback; Pillow warns of images' oddities.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
