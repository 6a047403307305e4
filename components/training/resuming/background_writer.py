"""Background writer: writes one thing at a time beside a training, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundWriter:
    """Writes what it is given in the order in which it is given it.

    At most one write is under way, so that what is yet to be written is held once. Its calls come
    from one thread.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    @property
    def failed(self) -> bool:
        """Whether a write has failed, which ``wait`` raises."""
        return self._error is not None

    def start(self, write: Callable[[], None]) -> None:
        """Waits for the write before, and begins another one.

        Args:
            write: what writes; it needs nothing that changes meanwhile.

        Raises:
            Exception: of the write before, if it failed; then this one does not begin.

        """
        self.wait()
        # A process that does not wait any longer leaves what the next one removes.
        self._thread = threading.Thread(target=self._run, args=(write,), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Waits until nothing is being written.

        Raises:
            Exception: of a write that failed, once.

        """
        self.close()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Waits until nothing is being written, whatever became of it."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:
            self._error = error
