"""Exceptions of Twofold: one tree, of which every message is written for its user.

A message says what happened, what was expected and what was received, with the file, key or field
at fault and what to type instead. Any exception that is not a ``TwofoldError`` is a fault of the
program or of the machine, and the command line shows it as one.
"""

from __future__ import annotations


class TwofoldError(Exception):
    """Root of all exceptions that Twofold raises on purpose."""


class DataError(TwofoldError, ValueError):
    """Input data that cannot be used: a path, an archive, a field, a setting, a stored data set."""


class EvaluationError(TwofoldError, ValueError):
    """Embeddings, labels or figures that cannot be measured or compared."""


class SettingsError(TwofoldError, ValueError):
    """A setting or an argument that cannot be used: unknown, out of range, or without effect."""
