"""Proof that a SavedModel answers as its encoder did, through TensorFlow Serving's loader.

Run as ``python -m components.export.verify VERSION_DIR SAMPLE.npz`` it loads the model with the C++
loader's path (a Session), in a process that has neither the encoder's code nor its weights, and
compares. ``prove`` starts that process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

# Batches of other sizes than the offline ones may sum in another order.
RELATIVE_TOLERANCE = 1e-4


class ProofError(RuntimeError):
    """An exported model that does not load, or does not answer as its encoder did."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """What is asked, and what the answer must be.

    Attributes:
        image_bytes: N whole image files.
        images: uint8 [N, H, W, C], the same images decoded.
        embeddings: float32 [N, D], computed offline.

    """

    image_bytes: Sequence[bytes]
    images: np.ndarray
    embeddings: np.ndarray


def prove(version_directory: Path, sample: Sample) -> dict[str, float]:
    """Loads a SavedModel in a fresh process and compares its embeddings with the offline ones.

    Args:
        version_directory: holds ``saved_model.pb``.
        sample: recorded questions and answers.

    Returns:
        ``max_difference/<signature>``: the largest difference of an embedding, as a share of the
        largest embedding value.

    Raises:
        ProofError: if the model fails to load or to answer, or a difference is above
            ``RELATIVE_TOLERANCE``.

    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.npz"
        # Fixed-width byte strings would lose trailing zeros, so the files travel as one buffer and
        # their lengths.
        np.savez(
            path,
            buffer=np.frombuffer(b"".join(sample.image_bytes), np.uint8),
            lengths=np.array([len(one) for one in sample.image_bytes], np.int64),
            images=sample.images,
            embeddings=sample.embeddings,
        )
        command = [sys.executable, "-m", __name__, str(version_directory), str(path)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        finished = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False
        )
    if finished.returncode != 0:
        cause = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise ProofError(
            f"{version_directory} does not answer through the C++ loader "
            f"(exit status {finished.returncode}): {cause}"
        )
    differences: dict[str, float] = json.loads(finished.stdout.strip().splitlines()[-1])
    for name, difference in differences.items():
        if not difference <= RELATIVE_TOLERANCE:
            raise ProofError(
                f"{version_directory}: {name} is {difference:.2e}, expected at most "
                f"{RELATIVE_TOLERANCE:.0e}: the served embeddings are not the offline ones"
            )
    return differences


def _measure(version_directory: str, sample_path: str) -> dict[str, float]:
    import tensorflow as tf

    with np.load(sample_path, allow_pickle=False) as arrays:
        stops = np.cumsum(arrays["lengths"])
        image_bytes = [bytes(part) for part in np.split(arrays["buffer"], stops[:-1])]
        images, embeddings = arrays["images"], arrays["embeddings"]
    questions = {"serving_default": ("image_bytes", image_bytes), "embed": ("images", images)}
    differences = {}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], version_directory)
        for name, (input_name, value) in questions.items():
            signature = meta_graph.signature_def[name]
            answer = session.run(
                signature.outputs["embedding"].name, {signature.inputs[input_name].name: value}
            )
            if answer.shape != embeddings.shape:
                raise ValueError(
                    f"{name} gives embeddings of shape {answer.shape}, expected {embeddings.shape}"
                )
            scale = max(float(np.abs(embeddings).max()), float(np.finfo(np.float32).tiny))
            differences[f"max_difference/{name}"] = float(np.abs(answer - embeddings).max()) / scale
    return differences


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], sys.argv[2])))
