"""Typed values: settings as a person types them after ``KEY=``."""

from __future__ import annotations

import json
from typing import Any


def as_yaml(value: Any) -> str:
    """Writes a value as one types it after ``KEY=``."""
    return value if isinstance(value, str) else json.dumps(value, default=list)
