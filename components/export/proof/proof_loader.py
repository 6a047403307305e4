"""TensorFlow Serving's loader as a proof: every signature of a SavedModel in a Session.

A script on its own: ``proof_isolated.py ... proof_loader.py FOLDER`` reads ``requests.json`` and
``requests.npz`` in the folder, which ``proof.proof`` describes, and leaves
``loader.json``: ``differences`` and ``failures`` by signature, and ``latency_ms`` by batch size.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

_BATCHES = (1, 8, 64)
_MOST_CALLS = 9
_SECONDS = 1.0
_VIEWS = 3
_CLASSIFY_METHOD = "tensorflow/serving/classify"
# An image of whole numbers may leave [0, 1] by the rounding of an interpolation.
_UNIT_SLACK = 1e-4
_VIEW_TOLERANCE = 1e-3

Answer = Mapping[str, NDArray[Any]]


class WrongAnswerError(RuntimeError):
    """An answer that is not what the signature promises."""


class Proof:
    """The requests to a loaded model.

    Args:
        session: holds the model.
        meta_graph: of the model.
        requests: see ``twofold.components.export.proof.proof``.
        arrays: likewise.

    """

    def __init__(
        self, session: Any, meta_graph: Any, requests: Mapping[str, Any], arrays: Answer
    ) -> None:
        self._session = session
        self._definitions = meta_graph.signature_def
        self._names = list(requests["class_names"])
        self._seed = int(requests["seed"])
        self._few = int(requests["few"])
        self._feature = str(requests["example_feature"])
        self._expected = list(requests["expected"])
        self._arrays = arrays
        stops = np.cumsum(arrays["lengths"])
        self._files = [bytes(part) for part in np.split(arrays["buffer"], stops[:-1])]
        self.differences: dict[str, float] = {}
        self.failures: dict[str, str] = {}

    def run(self) -> None:
        """Asks every signature; what is wrong goes to ``failures``."""
        present = sorted(name for name in self._definitions if not name.startswith("__"))
        for name in sorted({*present, *self._expected}):
            try:
                if name not in present:
                    raise WrongAnswerError("is missing")
                if name not in self._expected:
                    raise WrongAnswerError("is there and was not to be")
                self._check_of(name)()
            except (WrongAnswerError, tf.errors.OpError, KeyError, ValueError) as error:
                self.failures[name] = str(error).partition("\n")[0] or type(error).__name__

    def latency(self) -> dict[int, float]:
        """Measures ``serving_default``: the median of several calls for each batch size, in ms."""
        name = "serving_default"
        definition = self._definitions[name]
        fetches = [info.name for info in definition.outputs.values()]
        call = self._session.make_callable(fetches, [definition.inputs["image_bytes"].name])
        medians = {}
        for size in _BATCHES:
            files = np.resize(np.array(self._files, object), size)
            call(files)
            seconds: list[float] = []
            while not seconds or (len(seconds) < _MOST_CALLS and sum(seconds) < _SECONDS):
                start = time.perf_counter()
                call(files)
                seconds.append(time.perf_counter() - start)
            medians[size] = 1000 * statistics.median(seconds)
        return medians

    def _check_of(self, name: str) -> Callable[[], None]:
        own = {
            "embed": self._embed,
            "augment": self._augment,
            "classify_tta": self._tta,
            "classify_examples": self._examples,
        }
        return own.get(name, lambda: self._bytes(name))

    def _ask(self, signature: str, **inputs: Any) -> Answer:
        definition = self._definitions[signature]
        if set(definition.inputs) != set(inputs):
            raise WrongAnswerError(f"takes {sorted(definition.inputs)}, expected {sorted(inputs)}")
        fetches = {key: info.name for key, info in definition.outputs.items()}
        feeds = {definition.inputs[key].name: value for key, value in inputs.items()}
        answer: Answer = self._session.run(fetches, feeds)
        return answer

    def _bytes(self, name: str) -> None:
        """Checks a signature from files to embeddings, with or without classes."""
        # All of them once: a batch of the offline computation's size can give its very bits.
        count = len(self._files) if name == "serving_default" else self._few
        answer = self._ask(name, image_bytes=self._files[:count])
        embeddings = self._arrays["embeddings"]
        other_encoder = f"other_encoder/{name}" in self._arrays
        width = answer["embedding"].shape[-1] if other_encoder else embeddings.shape[1]
        _check(answer, "embedding", np.float32, (count, width))
        if not other_encoder:
            self._compare(name, answer["embedding"])
        self._refuses_text(name)
        classes = len(self._names)
        promised = {"embedding"}
        if name.startswith("classify") or (name == "serving_default" and classes):
            promised |= {"logits", "probabilities", "class_names"}
            _check(answer, "logits", np.float32, (count, classes))
            self._check_probabilities(name, answer["probabilities"], count)
            self._check_names(answer["class_names"], count)
        if set(answer) != promised:
            raise WrongAnswerError(f"gives {sorted(answer)}, expected {sorted(promised)}")

    def _embed(self) -> None:
        answer = self._ask("embed", images=self._arrays["images"])
        _check(answer, "embedding", np.float32, self._arrays["embeddings"].shape)
        self._compare("embed", answer["embedding"])

    def _augment(self) -> None:
        images = self._arrays["images"][: self._few]
        answer = self._ask("augment", images=images, seed=self._seed)
        # Views of patches have a size of their own.
        shape = self._arrays["views"].shape[1:] if "views" in self._arrays else images.shape
        for key in ("view_1", "view_2"):
            _check(answer, key, np.float32, shape)
            low, high = float(answer[key].min()), float(answer[key].max())
            if low < -_UNIT_SLACK or high > 1 + _UNIT_SLACK:
                raise WrongAnswerError(f"{key} lies in [{low:g}, {high:g}], expected [0, 1]")
        again = self._ask("augment", images=images, seed=self._seed)
        _check_same(answer, again, "a seed")
        each = np.full(len(images), self._seed)
        alone = self._ask("augment", images=images[-1:], seed=each[-1:])
        whole = self._ask("augment", images=images, seed=each)
        for key, value in whole.items():
            # The last bit of a number may decide what a threshold makes of a pixel.
            difference = float(np.abs(value[-1:] - alone[key]).mean())
            if difference > _VIEW_TOLERANCE:
                raise WrongAnswerError(
                    f"gives an image alone a {key} that differs by {difference:.2e} on average"
                )
        if "views" in self._arrays:
            views = np.stack([answer["view_1"], answer["view_2"]])
            difference = np.abs(views - self._arrays["views"]).mean()
            self.differences["views"] = float(difference)

    def _tta(self) -> None:
        files = self._files[: self._few]
        ask = {"image_bytes": files, "views": _VIEWS, "seed": self._seed}
        answer = self._ask("classify_tta", **ask)
        self._check_probabilities("", answer["probabilities"], len(files))
        self._check_names(answer["class_names"], len(files))
        _check_same(answer, self._ask("classify_tta", **ask), "a seed")
        each = {key: np.full(len(files), ask[key]) for key in ("views", "seed")}
        _check_same(answer, self._ask("classify_tta", image_bytes=files, **each), "a number each")
        single = self._ask("classify_tta", **{**ask, "views": 1})["probabilities"]
        plain = self._ask("classify", image_bytes=files)["probabilities"]
        if not np.allclose(single, plain, atol=1e-4):
            raise WrongAnswerError(
                f"differs from classify by {np.abs(single - plain).max():.2e} with one view"
            )

    def _examples(self) -> None:
        method = self._definitions["classify_examples"].method_name
        if method != _CLASSIFY_METHOD:
            raise WrongAnswerError(f"is a signature of {method}, expected {_CLASSIFY_METHOD}")
        files = self._files[: self._few]
        answer = self._ask("classify_examples", inputs=[self._example(one) for one in files])
        self._check_names(answer["classes"], len(files))
        self._check_probabilities("", answer["scores"], len(files))
        plain = self._ask("classify", image_bytes=files)["probabilities"]
        if not np.allclose(answer["scores"], plain, atol=1e-4):
            raise WrongAnswerError(
                f"differs from classify by {np.abs(answer['scores'] - plain).max():.2e}"
            )

    def _example(self, file: bytes) -> bytes:
        value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[file]))
        features = tf.train.Features(feature={self._feature: value})
        serialized: bytes = tf.train.Example(features=features).SerializeToString()
        return serialized

    def _compare(self, name: str, answer: NDArray[Any]) -> None:
        expected = self._arrays["embeddings"][: len(answer)]
        scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
        self.differences[name] = float(np.abs(answer - expected).max()) / scale

    def _check_probabilities(self, name: str, answer: NDArray[Any], count: int) -> None:
        _check({"probabilities": answer}, "probabilities", np.float32, (count, len(self._names)))
        total = np.abs(answer.sum(axis=1) - 1).max()
        if answer.min() < 0 or total > 1e-4:
            raise WrongAnswerError(f"gives probabilities whose sum differs from 1 by {total:.2e}")
        expected = self._arrays.get(f"probabilities/{name}")
        if expected is not None:
            distance = np.abs(answer[: len(expected)] - expected).sum(axis=1).mean() / 2
            self.differences[f"probabilities/{name}"] = float(distance)

    def _check_names(self, answer: NDArray[Any], count: int) -> None:
        expected = [name.encode() for name in self._names]
        if answer.shape != (count, len(expected)) or any(list(row) != expected for row in answer):
            raise WrongAnswerError(f"gives class names {answer.tolist()[:1]}, expected {expected}")

    def _refuses_text(self, name: str) -> None:
        try:
            self._ask(name, image_bytes=[self._files[0], b"this is no image"])
        except tf.errors.InvalidArgumentError:
            return
        raise WrongAnswerError("answers bytes that are no image, expected INVALID_ARGUMENT")


def _check(answer: Answer, key: str, dtype: Any, shape: tuple[int, ...]) -> None:
    value = answer[key]
    if value.dtype != dtype or value.shape != shape:
        raise WrongAnswerError(
            f"gives {key} {value.dtype} of shape {value.shape}, expected {np.dtype(dtype)} of "
            f"shape {shape}"
        )
    if not np.isfinite(value).all():
        raise WrongAnswerError(f"gives {key} with numbers that are not finite")


def _check_same(one: Answer, other: Answer, what: str) -> None:
    for key, value in one.items():
        if value.dtype == object:
            continue
        difference = float(np.abs(value - other[key]).max())
        if difference > 1e-5:
            raise WrongAnswerError(f"gives for {what} a {key} that differs by {difference:.2e}")


def main(folder: Path) -> None:
    """Asks the requests in a folder, and leaves the answers there."""
    requests = json.loads((folder / "requests.json").read_text(encoding="utf-8"))
    with np.load(folder / "requests.npz", allow_pickle=False) as file:
        arrays = dict(file)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], requests["version"])
        proof = Proof(session, meta_graph, requests, arrays)
        proof.run()
        answers = {
            "differences": proof.differences,
            "failures": proof.failures,
            "latency_ms": {} if proof.failures else proof.latency(),
        }
    (folder / "loader.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
