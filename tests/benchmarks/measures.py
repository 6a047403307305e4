"""Times measures on stored embeddings against what they replace.

    make benchmark-measures
    python -m tests.benchmarks.measures --rounds 3 --output measures.json

* The linear probe on 50,000 embeddings of width 512, chosen strength and all, with embedding them
  once, against a linear layer trained for 100 epochs that runs the encoder in each of them, as a
  probe without stored embeddings must (conv4 on images of 32 pixels; its forward pass is timed on
  some images, and the layer's own training is counted as nothing). Target: 10 times as fast.
* kNN of 10,000 embeddings among 50,000 against scikit-learn's brute-force KNeighborsClassifier with
  metric="cosine", both with 20 neighbours and the same weights. Target: 3 times as fast, with the
  same predictions.

Both sides of kNN take turns in processes of their own, so that a ratio holds when the machine's
speed drifts, and each one's peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

IMAGES, QUERIES, WIDTH, CLASSES = 50_000, 10_000, 512, 10
EPOCHS = 100
NEIGHBOURS, TEMPERATURE = 20, 0.07
_FORWARD_IMAGES = 2048
_PARTS = ("forward", "probe", "knn", "scikit-learn")


def drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws embeddings as of a ReLU, float32 [rows, 512], in ten classes that overlap, and labels.

    Most of the features' noise lies in few directions, as that of trained encoders does.
    """
    shared, random = np.random.default_rng(7), np.random.default_rng(seed)
    centres = 0.08 * shared.normal(size=(CLASSES, WIDTH))
    mix = shared.normal(size=(64, WIDTH)) / 8
    labels = random.integers(0, CLASSES, rows)
    noise = random.normal(size=(rows, 64)) @ mix + 0.3 * random.normal(size=(rows, WIDTH))
    return np.maximum(centres[labels] + noise, 0).astype(np.float32), labels


def _forward() -> dict[str, float]:
    import tensorflow as tf

    from twofold.components.encoders.build import build_encoder
    from twofold.components.evaluation.embedding import build_embedding

    embed = build_embedding(build_encoder("conv4", (32, 32, 3), seed=0), (32, 32, 3))
    images = np.random.default_rng(0).integers(0, 256, (_FORWARD_IMAGES, 32, 32, 3), np.uint8)
    tf.get_logger().setLevel("ERROR")
    embed(images[:256])

    def pass_over() -> None:
        for start in range(0, len(images), 256):
            embed(images[start : start + 256])

    return {"seconds": timed(pass_over) * IMAGES / _FORWARD_IMAGES}


def _probe() -> dict[str, float]:
    from twofold.components.evaluation.probes.hyperparameters import validation_rows
    from twofold.components.evaluation.probes.linear_probe import (
        choose_regularisation,
        fit_logistic_regression,
    )

    embeddings, labels = drawn(IMAGES, 0)
    tested, test_labels = drawn(QUERIES, 1)
    held = validation_rows(np.arange(IMAGES).astype(str), labels)
    found: dict[str, Any] = {}

    def fit() -> None:
        strength = choose_regularisation(
            embeddings[~held],
            labels[~held],
            embeddings[held],
            labels[held],
            classes=CLASSES,
            strengths=(0.01, 0.1, 1.0, 10.0, 100.0),
        )
        found["probe"] = fit_logistic_regression(
            embeddings, labels, classes=CLASSES, regularisation=strength
        )
        found["strength"] = strength

    seconds = timed(fit)
    probe = found["probe"]
    return {
        "seconds": seconds,
        "strength": found["strength"],
        "converged": probe.converged,
        "accuracy": probe.accuracy(tested, test_labels),
    }


def _knn() -> dict[str, float]:
    from twofold.components.evaluation.probes.knn import knn_predict

    train, labels = drawn(IMAGES, 0)
    test, test_labels = drawn(QUERIES, 1)
    votes: list[np.ndarray] = []
    seconds = timed(
        lambda: votes.append(
            knn_predict(train, labels, test, classes=CLASSES, k=NEIGHBOURS, temperature=TEMPERATURE)
        )
    )
    return _answered(seconds, votes[0].argmax(axis=1), test_labels)


def _scikit_learn() -> dict[str, float]:
    from sklearn.neighbors import KNeighborsClassifier

    train, labels = drawn(IMAGES, 0)
    test, test_labels = drawn(QUERIES, 1)
    model = KNeighborsClassifier(
        NEIGHBOURS,
        weights=lambda distances: np.exp((1 - distances) / TEMPERATURE),
        algorithm="brute",
        metric="cosine",
    ).fit(train, labels)
    answers: list[np.ndarray] = []
    seconds = timed(lambda: answers.append(model.predict(test)))
    return _answered(seconds, answers[0], test_labels)


def _answered(seconds: float, predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    weights = np.arange(1, len(predicted) + 1)
    return {
        "seconds": seconds,
        "accuracy": float((predicted == labels).mean()),
        "checksum": float((predicted * weights).sum()),
    }


def timed(work: Callable[[], object]) -> float:
    """Runs work once, and returns the seconds that it took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _in_process(part: str) -> dict[str, float]:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.measures", "--part", part],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    measured: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Measures in turn and prints the ratios."""
    parser = argparse.ArgumentParser(description="Times measures on stored embeddings.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="where to write all figures, as JSON")
    parser.add_argument("--part", choices=_PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        run = {"forward": _forward, "probe": _probe, "knn": _knn, "scikit-learn": _scikit_learn}
        # Peak memory that the data itself takes is not the measure's.
        measured = run[arguments.part]()
        print(json.dumps(measured | {"peak_bytes": _peak_bytes()}))
        return
    rounds = [{part: _in_process(part) for part in _PARTS} for _ in range(arguments.rounds)]

    def median(ratio: Callable[[dict[str, dict[str, float]]], float]) -> float:
        return statistics.median(ratio(one) for one in rounds)

    def seconds(part: str) -> float:
        return median(lambda one: one[part]["seconds"])

    def peak(part: str) -> float:
        return median(lambda one: one[part]["peak_bytes"])

    probe = median(
        lambda one: (
            EPOCHS
            * one["forward"]["seconds"]
            / (one["forward"]["seconds"] + one["probe"]["seconds"])
        )
    )
    knn = median(lambda one: one["scikit-learn"]["seconds"] / one["knn"]["seconds"])
    same = all(one["knn"]["checksum"] == one["scikit-learn"]["checksum"] for one in rounds)
    print(f"encoder's forward pass over {IMAGES:,} images: {seconds('forward'):.1f} s")
    print(f"probe on their embeddings, strength chosen: {seconds('probe'):.1f} s")
    print(f"  {probe:.1f} times as fast as {EPOCHS} epochs of encoding (target 10)")
    for part in ("knn", "scikit-learn"):
        memory = peak(part) / 2**20
        print(f"kNN by {part}: {seconds(part):.1f} s, peak memory {memory:,.0f} MiB")
    print(f"  {knn:.1f} times as fast (target 3); same predictions: {'yes' if same else 'no'}")
    if arguments.output:
        facts = {"python": platform.python_version(), "cores": len(os.sched_getaffinity(0))}
        text = json.dumps({**facts, "probe_ratio": probe, "knn_ratio": knn, "rounds": rounds})
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
