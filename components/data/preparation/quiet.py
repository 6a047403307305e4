"""Log and warning suppression while Beam and Pillow work: what fails is raised or counted."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No logging and no warnings within the block.

    Beam logs warnings on import and every worker's traceback, and gives the root logger a handler,
    which does not outlast the block; Pillow warns of images' oddities.
    """
    before = logging.root.manager.disable
    handlers = list(logging.root.handlers)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        for handler in set(logging.root.handlers).difference(handlers):
            logging.root.removeHandler(handler)
