"""Smoke test: recorded requests, answered by TensorFlow Serving's loader in a fresh process.

Run as a module with ``VERSION_DIR RESULT.json RUNS`` it loads the model with the C++ loader's path
(a Session), asks it what its warmup requests and ``assets.extra/sample.npz`` hold, and times it.
``run_smoke_test`` starts that process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twofold.components.errors import ExportedModelError
from twofold.components.export.child_environment import child_environment
from twofold.components.export.saved_model.recorded_requests import RecordedSample, read_sample

DEFAULT_SIGNATURE = "serving_default"
# As a share of the largest recorded value: batches of other sizes may sum in another order.
RELATIVE_TOLERANCE = 1e-4

_PATIENCE_S = 900.0
_UNTIMED_RUNS = 5
# A slow model is timed over fewer runs.
_TIMING_S = 10.0
_LEAST_RUNS = 5
_PREAMBLE = "Graph execution error:"


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a model made of its recorded requests.

    Attributes:
        problems: what went wrong, one sentence each.
        loaded: whether the model loads.
        requests: warmup requests that were answered.
        compared: recorded images whose embeddings agree with the recorded ones.
        latency_ms: the median time of an answer to one image, or None where it was not measured.
        runs: how many answers were timed.

    """

    problems: tuple[str, ...]
    loaded: bool = False
    requests: int = 0
    compared: int = 0
    latency_ms: float | None = None
    runs: int = 0


def run_smoke_test(version: Path, runs: int = 0) -> Answers:
    """Loads a model in a fresh process and asks it what was recorded with it.

    Args:
        version: the version directory.
        runs: how many answers to one image to time, at most; 0 for none. The request is the first
            recorded one to ``serving_default``.

    Returns:
        The answers; a process that ends before its time is one of the problems.

    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-P", "-m", __name__, str(version), str(result), str(runs)]
        environment = child_environment()
        try:
            finished = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                env=environment,
                check=False,
                timeout=_PATIENCE_S,
            )
        except subprocess.TimeoutExpired:
            return Answers((f"it has not answered after {_PATIENCE_S:.0f} s",))
        if finished.returncode != 0:
            cause = (finished.stderr.strip().splitlines() or ["no message"])[-1]
            return Answers((f"the process that loaded it {_ending(finished.returncode)}: {cause}",))
        values = json.loads(result.read_text(encoding="utf-8"))
    return Answers(**{**values, "problems": tuple(values["problems"])})


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"ended by {signal.Signals(-status).name}"
    return f"ended by signal {-status}"


def ask(version: Path, runs: int = 0) -> Answers:
    """Does in this process what ``run_smoke_test`` does in a fresh one."""
    # TensorFlow is imported by the process that asks, not by the one that starts it.
    import tensorflow as tf

    from twofold.components.export.saved_model.warmup_requests import read_warmup_requests

    problems: list[str] = []
    requests, sample = [], None
    try:
        requests, sample = read_warmup_requests(version), read_sample(version)
    except ExportedModelError as error:
        problems.append(str(error))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        try:
            graph = tf.compat.v1.saved_model.load(session, ["serve"], str(version))
        # Any error of a foreign program is a result to report, here and below.
        except Exception as error:
            return Answers((*problems, f"it does not load: {_cause(error)}"))
        model = _Model(session, graph.signature_def)
        answered, compared = 0, 0
        for number, request in enumerate(requests):
            with _noting(problems, f"warmup request {number} to {request.signature}"):
                model.answer(request.signature, request.inputs)
                answered += 1
        if sample is not None:
            with _noting(problems, "the recorded sample"):
                compared = _compare(model, sample)
        latency, timed = None, 0
        asked = [one for one in requests if one.signature == DEFAULT_SIGNATURE]
        if runs and asked and not problems:
            one_image = {name: array[:1] for name, array in asked[0].inputs.items()}
            latency, timed = model.time(DEFAULT_SIGNATURE, one_image, runs)
    return Answers(tuple(problems), True, answered, compared, latency, timed)


class _Model:
    """Signatures in a session."""

    def __init__(self, session: Any, signatures: Mapping[str, Any]) -> None:
        self._session = session
        self._signatures = signatures

    def answer(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs a signature; ValueError says what is wrong with its answer."""
        fetches, feeds = self._tensors(name, inputs)
        answer: dict[str, np.ndarray] = self._session.run(
            fetches, {feeds[key]: array for key, array in inputs.items()}
        )
        for key, array in answer.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"{key} holds values that are not finite")
        return answer

    def time(self, name: str, inputs: Mapping[str, np.ndarray], runs: int) -> tuple[float, int]:
        """Gives the median of an answer's milliseconds, and of how many."""
        fetches, feeds = self._tensors(name, inputs)
        keys = list(inputs)
        call = self._session.make_callable(fetches, [feeds[key] for key in keys])
        arrays = [inputs[key] for key in keys]
        for _ in range(_UNTIMED_RUNS):
            call(*arrays)
        seconds: list[float] = []
        while len(seconds) < runs and (sum(seconds) < _TIMING_S or len(seconds) < _LEAST_RUNS):
            start = time.perf_counter()
            call(*arrays)
            seconds.append(time.perf_counter() - start)
        return 1000 * statistics.median(seconds), len(seconds)

    def _tensors(
        self, name: str, inputs: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, str], dict[str, str]]:
        if name not in self._signatures:
            raise ValueError(f"there is no signature {name}, only {sorted(self._signatures)}")
        signature = self._signatures[name]
        unknown = sorted(set(inputs) - set(signature.inputs))
        if unknown:
            raise ValueError(f"there are no inputs {unknown}, only {sorted(signature.inputs)}")
        return (
            {key: info.name for key, info in signature.outputs.items()},
            {key: info.name for key, info in signature.inputs.items()},
        )


def _compare(model: _Model, sample: RecordedSample) -> int:
    """Compares answers with the recorded embeddings, and says how many."""
    expected = sample.embeddings
    recorded = {
        DEFAULT_SIGNATURE: {"image_bytes": np.array(sample.image_bytes, object)},
        "embed": {"images": sample.images},
    }
    scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    for name, inputs in recorded.items():
        given = model.answer(name, inputs)["embedding"]
        if given.shape != expected.shape:
            raise ValueError(
                f"{name} gives embeddings of shape {given.shape}, recorded were {expected.shape}"
            )
        difference = float(np.abs(given - expected).max()) / scale
        if not difference <= RELATIVE_TOLERANCE:
            raise ValueError(
                f"{name} gives embeddings that differ by {difference:.2e} from the recorded ones, "
                f"expected at most {RELATIVE_TOLERANCE:.0e}"
            )
    return len(expected)


@contextlib.contextmanager
def _noting(problems: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        problems.append(f"{what}: {_cause(error)}")


def _cause(error: Exception) -> str:
    message = getattr(error, "message", None) or str(error)
    lines = [line for line in message.splitlines() if line.strip() and line != _PREAMBLE]
    # TensorFlow tells where an op was made before it tells what went wrong.
    places = [number for number, line in enumerate(lines) if line.startswith("Node: ")]
    after = lines[places[0] + 1 :] if places else lines
    return next(iter(after or lines), type(error).__name__).strip()


def _main(arguments: Sequence[str]) -> None:
    version, result, runs = arguments
    answers = ask(Path(version), int(runs))
    Path(result).write_text(json.dumps(dataclasses.asdict(answers)), encoding="utf-8")


if __name__ == "__main__":
    _main(sys.argv[1:])
