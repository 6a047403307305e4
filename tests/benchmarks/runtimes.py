"""Times one encoder in several runtimes beside TensorFlow.

    make benchmark-runtimes
    python -m tests.benchmarks.runtimes --rounds 5 --encoder resnet18 --size 32 --output file.json

Batches of 1, 8 and 64 images through the SavedModel's ``embed`` signature, the ONNX file in ONNX
Runtime and in OpenVINO (in float32, and as it comes, which on a processor with bfloat16 is that),
and the LiteRT files. Each engine has a process of its own that imports nothing but it and NumPy and
uses as many threads as there are cores; they take turns of half a second, so that a ratio holds
when the machine's speed drifts. Of a turn the fastest batch counts, which other work on the machine
delayed least. Each engine's peak memory is its own, with Python and NumPy.

The encoder has random weights, and batch statistics that are not their defaults.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BATCHES = (1, 8, 64)
_SECONDS = 0.5
Answer = Callable[[np.ndarray], np.ndarray]


def _saved_model(folder: Path, threads: int) -> Answer:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    model = tf.saved_model.load(str(folder / "1"))

    def answer(images: np.ndarray) -> np.ndarray:
        # Looked up here, since the signature does not keep the model's variables.
        found = model.signatures["embed"](images=tf.constant(images))
        embeddings: np.ndarray = found["embedding"].numpy()
        return embeddings

    return answer


def _onnx_runtime(folder: Path, threads: int) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(folder / "encoder.onnx"), options, providers=["CPUExecutionProvider"]
    )
    return lambda images: session.run(["embedding"], {"images": images})[0]


def _litert(file: str) -> Callable[[Path, int], Answer]:
    def build(folder: Path, threads: int) -> Answer:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(folder / file), num_threads=threads)
        runner = interpreter.get_signature_runner("serving_default")
        return lambda images: runner(images=images)["embedding"]

    return build


def _openvino(**settings: str) -> Callable[[Path, int], Answer]:
    def build(folder: Path, threads: int) -> Answer:
        import openvino

        model = openvino.Core().compile_model(
            str(folder / "encoder.onnx"),
            "CPU",
            {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", **settings},
        )
        return lambda images: model({"images": images})["embedding"]

    return build


# Of each engine: what builds it, and what it reads.
ENGINES: dict[str, tuple[Callable[[Path, int], Answer], str]] = {
    "TensorFlow": (_saved_model, "1"),
    "ONNX Runtime": (_onnx_runtime, "encoder.onnx"),
    "LiteRT": (_litert("encoder.tflite"), "encoder.tflite"),
    "LiteRT, dynamic": (_litert("encoder_dynamic.tflite"), "encoder_dynamic.tflite"),
    "LiteRT, int8": (_litert("encoder_int8.tflite"), "encoder_int8.tflite"),
    "OpenVINO, float32": (_openvino(INFERENCE_PRECISION_HINT="f32"), "encoder.onnx"),
    "OpenVINO, default": (_openvino(), "encoder.onnx"),
}


def _serve(engine: str, folder: Path) -> None:
    """Answers each line, a batch size, with a line of what that took and gave."""
    answer = ENGINES[engine][0](folder, len(os.sched_getaffinity(0)))
    images = np.load(folder / "images.npy")
    expected = np.load(folder / "embeddings.npy")
    for line in sys.stdin:
        count = int(line)
        batch = images[:count]
        found = answer(batch)
        difference = np.abs(found - expected[:count]).max() / np.abs(expected[:count]).max()
        answer(batch)
        times: list[float] = []
        while sum(times) < _SECONDS:
            start = time.perf_counter()
            answer(batch)
            times.append(time.perf_counter() - start)
        turn = {
            "seconds": min(times),
            "difference": float(difference),
            "peak_bytes": _peak_bytes(),
        }
        print(json.dumps(turn), flush=True)


def _peak_bytes() -> int:
    """Reads the process's peak of resident memory from Linux."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


class _Engine:
    def __init__(self, name: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.runtimes", "--serve", name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    def turn(self, batch: int) -> dict[str, float]:
        print(batch, file=self._process.stdin, flush=True)
        assert self._process.stdout is not None
        turn: dict[str, float] = json.loads(self._process.stdout.readline())
        return turn

    def close(self) -> None:
        self._process.communicate()


def _make(folder: Path, encoder_name: str, size: int) -> None:
    from twofold.components.encoders.build import build_encoder
    from twofold.components.export.convert.compare_outputs import Tolerances
    from twofold.components.export.convert.conversion import FORMATS, convert
    from twofold.components.export.saved_model.module import save_encoder
    from twofold.components.transforms.decode import DecodeRule
    from twofold.components.transforms.views import to_unit_range

    shape = (size, size, 3)
    random = np.random.default_rng(0)
    encoder = build_encoder(encoder_name, shape, seed=0)
    for layer in encoder.layers:
        if hasattr(layer, "moving_mean"):
            layer.moving_mean.assign(random.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(random.uniform(0.5, 2, layer.moving_variance.shape))
    images = random.integers(0, 256, (max(BATCHES), *shape)) * random.uniform(
        0.2, 1, (max(BATCHES), 1, 1, 3)
    )
    images = images.astype(np.uint8)
    save_encoder(folder / "1", encoder, DecodeRule(*shape), None)
    # How much of its accuracy a quantised network keeps is not what is measured here.
    convert(
        folder / "1",
        list(FORMATS),
        folder,
        images,
        calibration_images=images,
        tolerances=Tolerances(quantised_cosine=-1),
    )
    np.save(folder / "images.npy", images)
    np.save(folder / "embeddings.npy", np.asarray(encoder(to_unit_range(images), training=False)))


def _bytes(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _table(turns: dict[str, dict[int, list[dict[str, float]]]], folder: Path) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for name, batches in turns.items():
        ratios = {
            batch: statistics.median(
                one["seconds"] / base["seconds"]
                for one, base in zip(found, turns["TensorFlow"][batch], strict=True)
            )
            for batch, found in batches.items()
        }
        rows[name] = {
            "seconds": {
                batch: statistics.median(one["seconds"] for one in found)
                for batch, found in batches.items()
            },
            "ratios": ratios,
            "bytes": _bytes(folder / ENGINES[name][1]),
            "peak_bytes": max(one["peak_bytes"] for found in batches.values() for one in found),
            "difference": max(one["difference"] for found in batches.values() for one in found),
        }
    return rows


def main() -> None:
    """Converts, measures interleaved, and prints one row per engine."""
    parser = argparse.ArgumentParser(description="Times one encoder in several runtimes.")
    parser.add_argument("--encoder", default="conv4")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="where to write all figures, as JSON")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(arguments.serve[0], Path(arguments.serve[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make(folder, arguments.encoder, arguments.size)
        engines = {engine: _Engine(engine, folder) for engine in ENGINES}
        turns: dict[str, dict[int, list[dict[str, float]]]] = {
            engine: {batch: [] for batch in BATCHES} for engine in ENGINES
        }
        for _ in range(arguments.rounds):
            for batch in BATCHES:
                for engine, process in engines.items():
                    turns[engine][batch].append(process.turn(batch))
        for process in engines.values():
            process.close()
        rows = _table(turns, folder)
    print(f"{arguments.encoder} at {arguments.size} pixels: milliseconds (ratio to TensorFlow's)")
    heads = [f"batch {batch}" for batch in BATCHES]
    print(f"{'':20}" + "".join(f"{head:>18}" for head in heads), "   file MB  peak MB  difference")
    for engine, row in rows.items():
        times = "".join(
            f"{1e3 * row['seconds'][batch]:11.2f} ({row['ratios'][batch]:.2f})" for batch in BATCHES
        )
        print(
            f"{engine:20}{times}{row['bytes'] / 1e6:11.2f}{row['peak_bytes'] / 1e6:9.0f}"
            f"{row['difference']:12.1e}"
        )
    if arguments.output:
        facts = {"python": platform.python_version(), "cores": len(os.sched_getaffinity(0))}
        text = json.dumps({**facts, "engines": rows}, indent=2)
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
