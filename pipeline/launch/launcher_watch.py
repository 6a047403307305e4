"""Launcher watch: a worker that `twofold launch` started ends once that is gone.

Workers have sessions of their own, so neither a killed launcher nor a closed terminal ends them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

# Names the launcher's process to the workers that it starts.
VARIABLE = "TWOFOLD_LAUNCHER"
_LOOK_EVERY = 1.0


def follow_launcher(say: Callable[[str], None]) -> None:
    """Sends this process SIGTERM, as a machine that shuts down does, once its launcher is gone.

    Training ends at that with a checkpoint. Does nothing in a process that nobody launched.

    Args:
        say: told that it is gone, in another thread; the terminal may be gone, too.

    """
    # What this process starts itself has another parent.
    launcher = os.environ.pop(VARIABLE, "")
    if launcher.isdecimal():
        watch = threading.Thread(target=_watch, args=(int(launcher), say), daemon=True)
        watch.start()


def _watch(launcher: int, say: Callable[[str], None]) -> None:
    while os.getppid() == launcher:
        time.sleep(_LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
    with contextlib.suppress(OSError):
        say("twofold launch is gone: this worker ends, too")
