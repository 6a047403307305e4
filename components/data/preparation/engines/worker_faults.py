"""Faults of Beam's workers: what was raised, out of what a runner makes of it.

Runners add to an exception's message where it was raised, make a RuntimeError of one that cannot be
built from a message alone, or hand back a worker's traceback as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from twofold.components.errors import DataError, TwofoldError

_PLACE = re.compile(r" \[while running .*", re.DOTALL)


def fault_of(error: Exception) -> BaseException | None:
    """What a worker raised where that is for the user; None where it is a fault of the program.

    Args:
        error: what the runner raised.

    Returns:
        An interruption; or the exception of Twofold, of its own kind and without the place in the
        pipeline; or the error of the operating system.

    """
    chain = list(_chain(error))
    told = next((one for one in chain if not isinstance(one, Exception)), None)
    if told is not None:
        return told
    known = _known_kinds()
    ours = next((one for one in chain if isinstance(one, TwofoldError)), None)
    if ours is not None:
        return _built(type(ours), str(ours))
    named = re.findall(rf"\b({'|'.join(known)}): (.+?)(?= \[while running|\n|$)", str(error))
    if named:
        return _built(known[named[-1][0]], named[-1][1])
    system = error.__context__
    if isinstance(system, OSError) and system.errno is not None:
        return OSError(system.errno, system.strerror, system.filename)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _known_kinds() -> dict[str, type[TwofoldError]]:
    kinds: dict[str, type[TwofoldError]] = {}
    waiting: list[type[TwofoldError]] = [TwofoldError]
    while waiting:
        kind = waiting.pop()
        kinds[kind.__name__] = kind
        waiting += kind.__subclasses__()
    return kinds


def _built(kind: type[TwofoldError], message: str) -> TwofoldError:
    plain = _PLACE.sub("", message)
    try:
        return kind(plain)
    except TypeError:
        return DataError(plain)
