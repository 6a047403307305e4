"""Random-weights settings: no training at all, a baseline for measures."""

from __future__ import annotations

from typing import ClassVar, Literal

from twofold.components.methods.settings import METHODS, MethodSettings


@METHODS.register
class RandomSettings(MethodSettings):
    """No training at all: the encoder's first weights, a baseline for measures."""

    trains: ClassVar[bool] = False
    name: Literal["random"] = "random"
