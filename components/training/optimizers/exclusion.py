"""Exclusions of weights from weight decay and from layer-wise adaptation."""

from __future__ import annotations

import dataclasses
import re

import keras

from twofold.components.errors import SettingsError


@dataclasses.dataclass(frozen=True)
class Exclusion:
    """Weights chosen by their path, by their rank, or by both.

    A Keras 3 variable's ``name`` is just ``gamma`` or ``kernel``, and a pattern for the layer would
    match none of them without a word; the ``path`` holds the names of the layers, too.

    Attributes:
        patterns: regular expressions, searched for in ``variable.path``
            (``resnet18/stage1_norm/gamma``).
        vectors: whether every weight of rank 1 or 0 (biases, scales, offsets) is excluded as well.

    Raises:
        SettingsError: if a pattern is no regular expression.

    """

    patterns: tuple[str, ...] = ()
    vectors: bool = False

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise SettingsError(
                    f"exclude holds {pattern!r}: expected a regular expression, received: {error}"
                ) from error

    def covers(self, variable: keras.Variable) -> bool:
        """Tells whether a weight is excluded."""
        if self.vectors and len(variable.shape) <= 1:
            return True
        return any(re.search(pattern, variable.path) for pattern in self.patterns)
