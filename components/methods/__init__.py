"""Training methods: what a batch of images becomes a loss by."""

from collections.abc import Callable

from components.methods.base import Method
from components.methods.simclr import SimCLR

METHODS: dict[str, Callable[..., Method]] = {"simclr": SimCLR}
