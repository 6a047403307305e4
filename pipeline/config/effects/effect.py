"""Effect of settings: under which condition something reads them, and what to set instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Effect:
    """When settings of a section have an effect.

    Attributes:
        keys: the settings, within the section.
        read: of the section and the whole configuration, whether anything reads them.
        needs: what to set so that something does.
        fault: what is wrong where nothing does.

    """

    keys: tuple[str, ...]
    read: Callable[[Any, Any], bool]
    needs: str
    fault: str = "has no effect"
