"""Small SavedModels, and the service in a thread of its own at a real port."""

import asyncio
import contextlib
import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from aiohttp import web

from twofold.serving.repository import Repository
from twofold.serving.rest import create_app

SERVE_PROGRAM = """
import sys
from pathlib import Path
from twofold.serving.rest import serve
serve(Path(sys.argv[1]), name="enc", rest_port=0, on_ready=lambda url: print(url, flush=True))
"""


class Toy(tf.Module):
    """Signatures of every kind that the protocol treats differently."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = tf.Variable(0.5)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def encode(self, image_bytes):
        length = tf.cast(tf.strings.length(image_bytes), tf.float32)
        return {
            "embedding": tf.stack([length, length * self.scale, length / 3.0], axis=1),
            "probabilities": tf.stack([length * 0.0 + 0.25, length * 0.0 + 0.75], axis=1),
        }

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, 1], tf.uint8, "images")])
    def embed(self, images):
        sums = tf.reduce_sum(tf.cast(images, tf.float32), axis=[1, 2, 3])
        return {"embedding": tf.stack([sums, sums * self.scale], axis=1)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2], tf.float32, "a"),
            tf.TensorSpec([None], tf.int32, "b"),
        ]
    )
    def pair(self, a, b):
        return {"sum": tf.reduce_sum(a, axis=1) + tf.cast(b, tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def texts(self, text):
        return {"same_bytes": text, "same": text}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def joined(self, text):
        return {"joined": tf.strings.reduce_join(text)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def same(self, x):
        return {"y": x}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def total(self, x):
        return {"total": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float16, "x")])
    def halves(self, x):
        return {"y": x}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def positive(self, x):
        with tf.control_dependencies([tf.debugging.assert_positive(x, message="not positive")]):
            return {"y": tf.identity(x)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, "rounds")])
    def slow(self, rounds):
        matrix = tf.random.stateless_uniform([256, 256], seed=[0, 1])
        for _ in tf.range(rounds):
            matrix = tf.linalg.matmul(matrix, matrix) / 64.0
        return {"y": tf.reduce_max(matrix)}


def save_toy(directory: Path) -> Path:
    toy = Toy()
    signatures = {
        "serving_default": toy.encode,
        "embed": toy.embed,
        "pair": toy.pair,
        "texts": toy.texts,
        "joined": toy.joined,
        "same": toy.same,
        "total": toy.total,
        "halves": toy.halves,
        "positive": toy.positive,
        "slow": toy.slow,
    }
    tf.saved_model.save(toy, str(directory), signatures=signatures)
    return directory


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    save_toy(directory / "3")
    return directory


@pytest.fixture(scope="session")
def repository(model_dir: Path) -> Repository:
    repository = Repository("enc", model_dir)
    repository.load()
    return repository


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> str:
        assert set(self.json) == {"error"}
        message: str = self.json["error"]
        return message


@dataclass(frozen=True)
class Server:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request; a body that is not bytes is sent as JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            content_type = response.getheader("Content-Type", "")
            return Answer(response.status, content_type, response.read().decode())

    def predict(self, body: Any, path: str = "/v1/models/enc:predict", **headers: str) -> Answer:
        return self.ask("POST", path, body, headers)


@contextlib.contextmanager
def run_in_thread(make_app: Callable[[], web.Application]) -> Iterator[Server]:
    """The application in a thread of its own, at a free port."""
    ports: list[int] = []
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main() -> None:
        runner = web.AppRunner(make_app())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(runner.addresses[0][1])
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    assert started.wait(20)
    try:
        yield Server(ports[0])
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


@pytest.fixture(scope="session")
def server(repository: Repository) -> Iterator[Server]:
    with run_in_thread(lambda: create_app(repository)) as server:
        yield server


@pytest.fixture
def running() -> Callable[[Callable[[], web.Application]], Any]:
    """What runs an application of the test's own for as long as its `with` lasts."""
    return run_in_thread


@pytest.fixture
def serving_process(model_dir: Path) -> Iterator[tuple[subprocess.Popen[str], Server]]:
    """`serve` in a process of its own, ready for requests."""
    command = [sys.executable, "-c", SERVE_PROGRAM, str(model_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:")
            yield process, Server(int(url.rpartition(":")[2]))
        finally:
            process.kill()
