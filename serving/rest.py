"""REST server with TensorFlow Serving's surface: model status, metadata, predict, and health.

    GET  /v1/models/NAME[/versions/N]             the state of the model's versions
    GET  /v1/models/NAME[/versions/N]/metadata    its signatures
    POST /v1/models/NAME[/versions/N]:predict     run one (serving/codec.py has the two formats)
    GET  /healthz                                 200 while the process lives
    GET  /readyz                                  200 once the model is loaded, 503 before

Errors are `{"error": message}`. The model runs in one thread of its own, so that status and health
are answered at once however long a prediction takes; requests queue before it, to a limit.

A SavedModel is a program: serve only directories whose contents you trust. There is no
authentication; by default only this machine can connect.
"""

import asyncio
import errno
import json
import logging
import re
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from twofold.components.errors import PortInUseError
from twofold.serving.codec import decode_predict, encode_predict
from twofold.serving.repository import Repository
from twofold.serving.status_codes import Code, ServingError, invalid_argument

MAX_BODY_BYTES = 64 * 2**20
MAX_INSTANCES = 1024
MAX_WAITING = 128
DRAIN_SECONDS = 30.0

# The paths as TensorFlow Serving matches them: any case, and names without a slash or a colon.
PREDICT_PATH = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+))?:predict", re.IGNORECASE | re.ASCII
)
STATUS_PATH = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+))?(/metadata)?", re.IGNORECASE | re.ASCII
)
MAX_VERSION = 2**63 - 1

logger = logging.getLogger(__name__)


def create_app(
    repository: Repository,
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_instances: int = MAX_INSTANCES,
    max_waiting: int = MAX_WAITING,
) -> web.Application:
    """The web application that answers for one model.

    Args:
        repository: the model; until it is loaded, predictions are 404 and `/readyz` is 503.
        max_body_bytes: the largest request body, after it is unzipped; a larger one is 413.
        max_instances: the most examples in one request; more are 400.
        max_waiting: the most predictions that run or wait at a time; the next one is 503.

    """
    service = _Service(repository, max_instances, max_waiting)
    app = web.Application(middlewares=[_errors_as_json], client_max_size=max_body_bytes)
    app.router.add_get("/healthz", _health)
    app.router.add_get("/readyz", service.readiness)
    app.router.add_route("*", "/{path:(?i:v1)/.*}", service.dispatch)

    async def close(_: web.Application) -> None:
        service.close()

    app.on_cleanup.append(close)
    return app


class _Service:
    def __init__(self, repository: Repository, max_instances: int, max_waiting: int) -> None:
        self._repository = repository
        self._max_instances = max_instances
        self._max_waiting = max_waiting
        self._waiting = 0
        self._model_thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    def close(self) -> None:
        self._model_thread.shutdown(cancel_futures=True)

    async def readiness(self, _: web.Request) -> web.Response:
        if self._repository.is_loaded:
            return _json_response({"status": "ready"})
        return _json_response({"status": "loading"}, Code.UNAVAILABLE.http_status)

    async def dispatch(self, request: web.Request) -> web.Response:
        path = request.rel_url.raw_path
        if request.method == "POST" and (match := PREDICT_PATH.fullmatch(path)):
            return await self._predict(unquote(match[1]), _version_number(match[2]), request)
        if request.method == "GET" and (match := STATUS_PATH.fullmatch(path)):
            if match[1] is None:
                raise invalid_argument("Missing model name in request.")
            answer = self._metadata if match[3] else self._status
            return _json_response(answer(unquote(match[1]), _version_number(match[2])))
        raise invalid_argument(f"Malformed request: {request.method} {path}")

    def _status(self, name: str, number: int | None) -> dict[str, Any]:
        if not self._repository.has(name, number):
            requested = "any versions" if number is None else f"version {number}"
            raise ServingError(Code.NOT_FOUND, f"Could not find {requested} of model {name}")
        return {
            "model_version_status": [
                {
                    "version": str(self._repository.number),
                    "state": "AVAILABLE" if self._repository.is_loaded else "LOADING",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        }

    def _metadata(self, name: str, number: int | None) -> dict[str, Any]:
        version = self._repository.version(name, number)
        return {
            "model_spec": {"name": name, "signature_name": "", "version": str(version.number)},
            "metadata": {"signature_def": {"signature_def": version.signature_def}},
        }

    async def _predict(self, name: str, number: int | None, request: web.Request) -> web.Response:
        # Refused before the body is read, so that a flood costs no memory.
        if self._waiting >= self._max_waiting:
            raise ServingError(
                Code.UNAVAILABLE,
                f"{self._waiting} requests are being answered, and no more can wait; try again",
            )
        self._waiting += 1
        try:
            body = await _read_body(request)
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(
                self._model_thread, self._answer, name, number, body
            )
        finally:
            self._waiting -= 1
        return web.Response(body=answer, content_type="application/json")

    def _answer(self, name: str, number: int | None, body: bytes) -> bytes:
        # Called first by the decoder, once the JSON is parsed, and one version for both.
        version = cache(lambda: self._repository.version(name, number))
        request = decode_predict(
            body,
            lambda signature: version().signature(signature),
            max_instances=self._max_instances,
        )
        outputs = version().predict(request.signature_name, request.inputs)
        return encode_predict(outputs, is_row=request.is_row)


def _version_number(text: str | None) -> int | None:
    if text is None:
        return None
    number = int(text)
    if number > MAX_VERSION:
        raise invalid_argument(f"Failed to convert version: {text} to numeric.")
    return number


async def _read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except (web.RequestPayloadError, ConnectionError) as error:
        raise invalid_argument(f"The request body cannot be read: {error}") from error


async def _health(_: web.Request) -> web.Response:
    return _json_response({"status": "alive"})


def _json_response(value: Any, status: int = 200) -> web.Response:
    body = json.dumps(value, indent=1).encode()
    return web.Response(body=body, status=status, content_type="application/json")


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ServingError as error:
        return _json_response({"error": error.message}, error.code.http_status)
    except web.HTTPRequestEntityTooLarge as error:
        return _json_response({"error": error.text}, error.status)
    except web.HTTPException as error:
        message = f"{error.reason}: {request.method} {request.path}"
        return _json_response({"error": message}, error.status)
    except Exception as error:
        logger.exception("%s %s failed", request.method, request.path)
        message = f"{type(error).__name__}: {error}"
        return _json_response({"error": message}, Code.INTERNAL.http_status)


def serve(
    model_dir: Path,
    *,
    name: str = "encoder",
    host: str = "127.0.0.1",
    rest_port: int = 8501,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve a model until SIGTERM or SIGINT, then finish the requests under way and return.

    Must run in the main thread, which is where Python delivers signals. A second signal ends the
    process at once.

    Args:
        model_dir: `<MODEL_DIR>/<integer version>/saved_model.pb`, of which the newest version is
            served, or one such version itself. Its contents are run: it must be trusted.
        name: the model's name in the paths.
        host: the address to listen at.
        rest_port: the port; 0 takes a free one.
        on_ready: called with the base URL once requests are answered.

    Raises:
        ModelDirectoryError: the directory holds no model, or one that cannot be loaded.
        PortInUseError: another program listens at the port.
        OSError: the host or port cannot be listened at for another reason.

    """
    repository = Repository(name, model_dir)
    asyncio.run(_serve(repository, host, rest_port, on_ready))


async def _serve(
    repository: Repository, host: str, port: int, on_ready: Callable[[str], None] | None
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def request_stop() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, request_stop)

    runner = web.AppRunner(create_app(repository), shutdown_timeout=DRAIN_SECONDS)
    await runner.setup()
    try:
        # Listening comes before loading: a busy port is known at once, and readiness can be asked.
        await _listen(runner, host, port)
        await asyncio.to_thread(repository.load)
        if on_ready is not None and not stop.is_set():
            on_ready(_base_url(host, runner))
        await stop.wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                error.errno, f"Port {port} of {host} is in use by another program; choose another"
            ) from error
        raise OSError(error.errno, f"Cannot listen at {host}:{port}: {error.strerror}") from error


def _base_url(host: str, runner: web.AppRunner) -> str:
    port = runner.addresses[0][1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
