"""Proof that a SavedModel answers as its encoder did, where nothing of its making is at hand.

``prove`` starts two fresh processes. One asks every signature through the C++ loader, as TensorFlow
Serving does, in a Session; in the other there is no TensorFlow for Python at all, only its C API.
In neither can Keras be imported, nor the project's own code. Both get a folder with

- ``requests.npz``: ``buffer`` and ``lengths`` (files one after the other: fixed-width strings
  would lose trailing zeros), ``images``, ``embeddings``; where the sample has them ``views`` and
  ``probabilities/<signature>``; and ``other_encoder/<signature>``, whose presence counts;
- ``requests.json``: ``version`` (the directory), ``signatures`` (tensor names), ``expected``
  (signature names), ``class_names``, ``seed``, ``few`` (how many images to ask where all would take
  too long), ``example_feature`` and ``library``.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from twofold.components.errors import ProofError
from twofold.components.export.child_environment import child_environment

# Batches of other sizes than the offline ones, and other machines, may sum in another order.
RELATIVE_TOLERANCE = 1e-4
# Mean distances, half the sum of differences, of an image's probabilities.
PROBABILITY_TOLERANCE = 1e-3
# Where an encoder gives nearly the same for all images, the last bits of an embedding decide what
# its neighbours are, and a probe's weights are huge. How far embeddings are moved to find out what
# such bits do, and how many times that is allowed.
_LAST_BITS = 1e-6
_TIMES = 10.0
# Mean difference of the pixels of views in [0, 1], few of which a threshold may turn over.
VIEW_TOLERANCE = 1e-3
FEW = 8

_FOLDER = Path(__file__).resolve().parent
_PROJECT = ("twofold",)
_KERAS = ("keras", "tf_keras")
# Each script with what it cannot import.
_SCRIPTS = {
    "loader": (*_KERAS, *_PROJECT),
    "c_api": (*_KERAS, *_PROJECT, "tensorflow"),
}


@dataclasses.dataclass(frozen=True)
class Sample:
    """What is asked, and what the answers must be.

    Asked with all images of one batch of the offline computation, in their order, a model that
    runs on the machine of that computation answers with the same bits.

    Attributes:
        image_bytes: N whole image files.
        images: uint8 [N, H, W, C], the same images decoded.
        embeddings: float32 [N, D], computed offline.
        class_names: K names; empty where the model has no head.
        heads: the offline arithmetic of some signatures, from embeddings [n, D] to probabilities
            [n, K].
        views: float32 [2, n, H, W, C], what training makes of the first n = min(N, ``FEW``) images
            by ``seed``; None leaves them uncompared.
        seed: of the views.
        other_encoders: signatures whose embedding is not that of the model's own encoder.
        example_feature: of a ``tf.train.Example``, what holds the file.

    """

    image_bytes: Sequence[bytes]
    images: np.ndarray
    embeddings: np.ndarray
    class_names: Sequence[str] = ()
    heads: Mapping[str, Callable[[np.ndarray], np.ndarray]] = dataclasses.field(
        default_factory=dict
    )
    views: np.ndarray | None = None
    seed: int = 0
    other_encoders: Sequence[str] = ()
    example_feature: str = "image"


@dataclasses.dataclass(frozen=True)
class Proof:
    """What the processes found.

    Attributes:
        differences: of embeddings by signature, and by ``c_api/<signature>``: the largest one, as
            a share of the largest value; 0 where every bit is equal. Of ``views`` and
            ``probabilities/<signature>``: mean distances.
        latency_ms: of ``serving_default`` by batch size, the median of several calls.

    """

    differences: Mapping[str, float]
    latency_ms: Mapping[int, float]

    def metrics(self) -> dict[str, float]:
        """Gives ``max_difference/<signature>`` and ``latency_ms_batch_<size>``."""
        largest = {
            f"max_difference/{name}": value
            for name, value in self.differences.items()
            if _kind(name) == "embedding"
        }
        times = {f"latency_ms_batch_{size}": value for size, value in self.latency_ms.items()}
        return largest | times


def prove(version_directory: Path, sample: Sample, signatures: Sequence[str]) -> Proof:
    """Asks a SavedModel in fresh processes, and holds its answers to the offline ones.

    Args:
        version_directory: holds ``saved_model.pb``.
        sample: recorded requests and answers.
        signatures: what it must have, no more and no less.

    Returns:
        The differences, each within its tolerance, and how fast it answers.

    Raises:
        ProofError: naming the signature, if the model fails to load or to answer, answers with
            other shapes, types or numbers than it should, or does not refuse what it should.

    """
    with tempfile.TemporaryDirectory() as folder:
        _write_requests(Path(folder), version_directory, sample, signatures)
        loader = _run("loader", Path(folder), version_directory)
        differences = dict(loader["differences"])
        _judge(differences, sample, version_directory)
        c_api = _run("c_api", Path(folder), version_directory)
    others = {f"c_api/{name}": value for name, value in c_api["differences"].items()}
    _judge(others, sample, version_directory)
    latency = {int(size): milliseconds for size, milliseconds in loader["latency_ms"].items()}
    return Proof(differences | others, latency)


def _judge(differences: Mapping[str, float], sample: Sample, version_directory: Path) -> None:
    for name, difference in differences.items():
        tolerance = _tolerance(name, sample)
        if not difference <= tolerance:
            raise ProofError(
                f"{version_directory}: {name}: the {_kind(name)} differs from the offline one by "
                f"{difference:.2e}, expected at most {tolerance:.1e}"
            )


def _tolerance(name: str, sample: Sample) -> float:
    kind = _kind(name)
    if kind == "embedding":
        return RELATIVE_TOLERANCE
    if kind == "view":
        return VIEW_TOLERANCE
    head, embeddings = sample.heads[name.removeprefix("probabilities/")], sample.embeddings[:FEW]
    moved = np.random.default_rng(0).uniform(-_LAST_BITS, _LAST_BITS, embeddings.shape)
    nearby = head((embeddings * (1 + moved)).astype(np.float32))
    distance = np.abs(nearby - head(embeddings)).sum(axis=1).mean() / 2
    return PROBABILITY_TOLERANCE + _TIMES * float(distance)


def _kind(name: str) -> str:
    if name == "views":
        return "view"
    return "probability" if name.startswith("probabilities/") else "embedding"


def _write_requests(
    folder: Path, version_directory: Path, sample: Sample, signatures: Sequence[str]
) -> None:
    arrays: dict[str, Any] = {
        "buffer": np.frombuffer(b"".join(sample.image_bytes), np.uint8),
        "lengths": np.array([len(one) for one in sample.image_bytes], np.int64),
        "images": sample.images,
        "embeddings": sample.embeddings,
    }
    if sample.views is not None:
        arrays["views"] = sample.views
    few = sample.embeddings[:FEW]
    arrays |= {f"probabilities/{name}": head(few) for name, head in sample.heads.items()}
    arrays |= {f"other_encoder/{name}": True for name in sample.other_encoders}
    np.savez(folder / "requests.npz", **arrays)
    requests = {
        "version": str(version_directory.resolve()),
        "signatures": _tensor_names(version_directory),
        "expected": sorted(signatures),
        "class_names": list(sample.class_names),
        "seed": sample.seed,
        "few": min(FEW, len(sample.image_bytes)),
        "example_feature": sample.example_feature,
        "library": str(_find_library()),
    }
    (folder / "requests.json").write_text(json.dumps(requests), encoding="utf-8")


def _tensor_names(version_directory: Path) -> dict[str, Any]:
    """Reads the names of the tensors that signatures take and give."""
    path = version_directory / "saved_model.pb"
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise ProofError(f"{version_directory} holds no SavedModel: {error}") from error
    return {
        name: {
            "inputs": {key: info.name for key, info in definition.inputs.items()},
            "outputs": {key: info.name for key, info in definition.outputs.items()},
        }
        for meta_graph in saved_model.meta_graphs
        for name, definition in meta_graph.signature_def.items()
    }


def _find_library() -> Path:
    """Finds the library that holds TensorFlow's C API and its kernels."""
    folder = Path(tf.sysconfig.get_lib())
    found = sorted(folder.glob("libtensorflow_cc*"))
    if not found:
        raise ProofError(f"{folder} holds no libtensorflow_cc, whose C API the proof asks")
    return found[0]


def _run(script: str, folder: Path, version_directory: Path) -> dict[str, Any]:
    """Runs one of the scripts, and gives what it left.

    Raises:
        ProofError: if it ended early or found a signature at fault.

    """
    command = [
        *(sys.executable, "-I", str(_FOLDER / "proof_isolated.py")),
        *(",".join(_SCRIPTS[script]), str(_FOLDER / f"proof_{script}.py"), str(folder)),
    ]
    environment = child_environment()
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    way = {"loader": "the C++ loader", "c_api": "the C API"}[script]
    if finished.returncode != 0:
        cause = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise ProofError(
            f"{version_directory} does not answer through {way} "
            f"(exit status {finished.returncode}): {cause}"
        )
    answers: dict[str, Any] = json.loads((folder / f"{script}.json").read_text(encoding="utf-8"))
    if answers["failures"]:
        reasons = "; ".join(f"{name} {reason}" for name, reason in answers["failures"].items())
        raise ProofError(f"{version_directory}, through {way}: {reasons}")
    return answers
