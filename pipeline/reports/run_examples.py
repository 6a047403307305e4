"""Example images of a run's page: neighbours, and the probe's mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twofold.components.data.preparation.report_content import thumbnail
from twofold.components.data.reading.split import Split
from twofold.components.data.store.manifest import Manifest
from twofold.components.errors import DataError
from twofold.components.evaluation.probes.confusion_matrix import confusion_matrix
from twofold.components.evaluation.probes.example_images import (
    confident_errors,
    spread_over_classes,
)
from twofold.components.evaluation.probes.linear_probe import LinearProbe
from twofold.components.evaluation.probes.nearest_neighbours import nearest_neighbours
from twofold.components.pages.run_page import Confusion, Examples, Failure, Neighbour, Query
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.training import prepared_images as step_images

_QUERIES = 12
_NEIGHBOURS = 6
_FAILURES = 24
_CHUNK = 16_384


def find_examples(context: Context, manifest: Manifest, held_out_name: str) -> Examples:
    """Reads the embeddings of a run, and of the data set only the images that are shown.

    Raises:
        DataError: if embeddings are of other images than the data set holds.

    """
    folder = context.run.path / "embeddings"
    # Decoded on demand: a page shows a hundred, whatever there are.
    held_out = step_images.load(context, manifest, held_out_name, cache="off")
    training = list(step_images.load_training_splits(context, manifest, cache="off").values())
    tested = _embeddings(folder, held_out_name, [held_out])
    if tested is None:
        return Examples()
    trained = _embeddings(folder, "train", training)
    queries = () if trained is None else tuple(_queries(held_out, tested, training, trained))
    probe_file = folder / "linear_probe.npz"
    known = np.flatnonzero(held_out.labels >= 0)
    if not probe_file.exists() or not len(known):
        return Examples(queries)
    with np.load(probe_file, allow_pickle=False) as arrays:
        probe = LinearProbe(arrays["weights"], arrays["bias"])
    parts = [
        probe.probabilities(np.asarray(tested[known[start : start + _CHUNK]]))
        for start in range(0, len(known), _CHUNK)
    ]
    probabilities, labels = np.concatenate(parts), held_out.labels[known]
    predictions = probabilities.argmax(axis=1)
    names = held_out.class_names
    worst = confident_errors(probabilities, labels, _FAILURES)
    pixels = held_out.images[known[worst]]
    failures = tuple(
        Failure(
            str(held_out.keys[known[row]]),
            names[labels[row]],
            names[predictions[row]],
            float(probabilities[row].max()),
            thumbnail(image),
        )
        for row, image in zip(worst.tolist(), pixels, strict=True)
    )
    counts = confusion_matrix(labels, predictions, len(names))
    return Examples(queries, Confusion(names, counts), failures)


def _embeddings(folder: Path, name: str, splits: list[Split]) -> NDArray[np.float32] | None:
    """Opens what a split was embedded to, if it was, and holds it to the images at hand."""
    file = folder / f"{name}.npy"
    if not file.exists():
        return None
    found: NDArray[np.float32] = np.load(file, mmap_mode="r", allow_pickle=False)
    keys = np.concatenate([split.keys for split in splits])
    keys_file = folder / f"{name}_keys.npy"
    same = len(found) == len(keys)
    if same and keys_file.exists():
        text = np.dtypes.StringDType()
        embedded = np.load(keys_file, allow_pickle=False)
        same = np.array_equal(embedded.astype(text), keys.astype(text))
    if not same:
        raise DataError(
            f"{file} is of other images than the data set's split {name}: expected "
            f"{len(keys):,} of the same keys, received {len(found):,}"
        )
    return found


def _queries(
    held_out: Split,
    tested: NDArray[np.float32],
    training: list[Split],
    trained: NDArray[np.float32],
) -> Iterator[Query]:
    rows = spread_over_classes(held_out.labels, held_out.key_hashes, _QUERIES)
    nearest, similarities = nearest_neighbours(np.asarray(tested[rows]), trained, _NEIGHBOURS)
    labels = np.concatenate([split.labels for split in training])
    keys = np.concatenate([split.keys for split in training])
    asked = held_out.images[rows]
    shown = _pixels(training, nearest.ravel())
    for index, row in enumerate(rows.tolist()):
        label = int(held_out.labels[row])
        neighbours = []
        for rank, near in enumerate(nearest[index].tolist()):
            other = int(labels[near])
            agrees = label == other if min(label, other) >= 0 else None
            neighbours.append(
                Neighbour(
                    str(keys[near]),
                    _name(held_out, other),
                    float(similarities[index, rank]),
                    agrees,
                    thumbnail(shown[near]),
                )
            )
        yield Query(
            str(held_out.keys[row]),
            _name(held_out, label),
            thumbnail(asked[index]),
            tuple(neighbours),
        )


def _pixels(splits: list[Split], rows: NDArray[np.intp]) -> dict[int, NDArray[np.uint8]]:
    """The images of rows that count through all splits."""
    found: dict[int, NDArray[np.uint8]] = {}
    start = 0
    for split in splits:
        here = np.unique(rows[(rows >= start) & (rows < start + len(split.keys))])
        if len(here):
            found |= dict(zip(here.tolist(), split.images[here - start], strict=True))
        start += len(split.keys)
    return found


def _name(split: Split, label: int) -> str:
    return split.class_names[label] if 0 <= label < len(split.class_names) else ""
