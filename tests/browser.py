"""A page in headless Chromium, over the pipe of its debugging protocol: no port, no network."""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

CHROMIUM = shutil.which("chromium")
_FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_PATIENCE = 60.0


class Seen(NamedTuple):
    """What came of opening a page.

    Attributes:
        console: messages of the console and of the browser about the page.
        requests: the addresses that were asked for, those that hold their own content aside.
        overflow: by how many pixels the page is wider than the window.
        unnamed: elements img and svg that no text stands for.
        picture: of the whole page, PNG.

    """

    console: list[str]
    requests: list[str]
    overflow: int
    unnamed: list[str]
    picture: bytes


_MEASURE = """(() => {
  const named = e => e.getAttribute('alt') || e.getAttribute('aria-label')
    || (e.querySelector(':scope > title') || {}).textContent;
  return {
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    height: document.documentElement.scrollHeight,
    unnamed: [...document.querySelectorAll('img, svg')].filter(e => !named(e))
      .map(e => e.outerHTML.slice(0, 120)),
  };
})()"""


class Browser:
    """Headless Chromium for a block."""

    def __enter__(self) -> "Browser":
        assert CHROMIUM is not None
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        commands, self._out = os.pipe()
        self._in, answers = os.pipe()
        quiet = os.open(os.devnull, os.O_RDWR)
        self._process = os.posix_spawn(
            CHROMIUM,
            [CHROMIUM, *_FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, commands, 3),
                (os.POSIX_SPAWN_DUP2, answers, 4),
                *((os.POSIX_SPAWN_DUP2, quiet, stream) for stream in (0, 1, 2)),
            ],
            setpgroup=0,
        )
        for end in (commands, answers, quiet):
            os.close(end)
        self._rest, self._number, self._events = b"", 0, []  # type: ignore[var-annotated]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Its own children are in its group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, path: Path, width: int, *, dark: bool = False) -> Seen:
        """Opens a file in a window of so many pixels."""
        target = self._ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True})[
            "sessionId"
        ]
        self._events.clear()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable", {}, session)
        self._size(session, width, 900)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", {"features": [scheme]}, session)
        self._ask("Page.navigate", {"url": path.resolve().as_uri()}, session)
        self._wait_for("Page.loadEventFired", session)
        question = {"expression": _MEASURE, "returnByValue": True}
        found = self._ask("Runtime.evaluate", question, session)["result"]["value"]
        self._size(session, width, found["height"])
        picture = self._ask("Page.captureScreenshot", {"format": "png"}, session)["data"]
        seen = Seen(
            self._console(session),
            self._requests(session),
            found["overflow"],
            found["unnamed"],
            base64.b64decode(picture),
        )
        self._ask("Target.closeTarget", {"targetId": target})
        return seen

    def _size(self, session: str, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._ask("Emulation.setDeviceMetricsOverride", size, session)

    def _console(self, session: str) -> list[str]:
        said = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event) for event in self._of(session) if event["method"] in said]

    def _requests(self, session: str) -> list[str]:
        asked = [
            event["params"]["request"]["url"]
            for event in self._of(session)
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith("data:")]

    def _of(self, session: str) -> list[dict[str, Any]]:
        return [event for event in self._events if event.get("sessionId") == session]

    def _wait_for(self, method: str, session: str) -> None:
        while not any(event["method"] == method for event in self._of(session)):
            self._events.append(self._next())

    def _ask(
        self, method: str, parameters: dict[str, Any], session: str | None = None
    ) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._events.append(answer)

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser gave no answer"
            part = os.read(self._in, 1 << 20)
            assert part, "the browser ended"
            self._rest += part
        first, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message
