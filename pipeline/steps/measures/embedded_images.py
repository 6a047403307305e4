"""Embeddings of a run's images, each computed once into its store."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from twofold.components.data.reading.split import Split
from twofold.components.evaluation.embedding import build_embedding
from twofold.components.evaluation.embedding_store import INDEX, EmbeddingStore
from twofold.components.evaluation.probes.pixel_baseline import pixel_features, pixel_width
from twofold.pipeline.models.method_builder import rebuild_projector
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.reuse.fingerprints import embedding_fingerprint
from twofold.pipeline.steps.reuse.outputs import EMBEDDINGS, made_from
from twofold.pipeline.training.prepared_images import TrainingImages
from twofold.pipeline.training.pretraining import random_encoder

_BATCH = 256
# Images of a split or embeddings of it to what a part makes of them.
Embedding = Callable[[np.ndarray], np.ndarray]


def array_name(split: str, part: str = "") -> str:
    """Names the array of a split; `part` is empty for the encoder, or the name of a baseline."""
    return f"{split}_{part}" if part else split


def open_store(context: Context) -> EmbeddingStore:
    """Opens the embeddings of a finished run, of whatever code they are."""
    folder = context.run.path / EMBEDDINGS
    return EmbeddingStore(folder, made_from(folder / INDEX) or embedding_fingerprint(context))


def _store_to_fill(context: Context) -> EmbeddingStore:
    """Opens the embeddings of a run; those of other weights, images or code are set aside."""
    folder, expected = context.run.path / EMBEDDINGS, embedding_fingerprint(context)
    if made_from(folder / INDEX) != expected:
        context.run.set_aside(folder)
    return EmbeddingStore(folder, expected)


def embed_splits(
    context: Context, encoder: keras.Model, training: TrainingImages, splits: Mapping[str, Split]
) -> tuple[EmbeddingStore, tuple[str, ...]]:
    """Embeds splits by the encoder and the baselines, where this was not done before.

    Args:
        context: of the run.
        encoder: the trained one.
        training: what it was trained on.
        splits: what to embed, by name.

    Returns:
        The store, and which of the baselines are in it, with the projector where the recipe's probe
        reads it.

    """
    store = _store_to_fill(context)
    for name, split in splits.items():
        store.write_rows(name, split.keys, split.labels)
    projector = None
    evaluation = context.config.evaluation
    read = ["projector"] if evaluation.probe_reads == "projections" else []
    parts = list(dict.fromkeys([*evaluation.baselines, *read]))
    if "projector" in parts:
        projector = rebuild_projector(context.config, encoder, context.run.path / "checkpoints")
        if projector is None:
            context.say("evaluate: the method has no projector, or one that changes nothing")
            parts.remove("projector")
    missing = [
        (part, name)
        for part in ("", *parts)
        for name in splits
        if not store.has(array_name(name, part))
    ]
    if not missing:
        return store, tuple(parts)
    total = sum(len(splits[name].images) for _, name in missing)
    shape = training.labelled.images.shape[1:]
    build: dict[str, Callable[[], tuple[int, Embedding]]] = {
        "": lambda: _network(encoder, shape),
        "projector": lambda: _projection(projector),
        "random": lambda: _network(random_encoder(context.config, training, shape), shape),
        "pixels": lambda: (pixel_width(shape), pixel_features),
    }
    build = {part: functools.cache(make) for part, make in build.items()}
    with context.progress("evaluate", total, "images") as show:
        done = 0
        for part, name in missing:
            width, embed = build[part]()
            source: Any = splits[name].images
            if part == "projector":
                source = store.read(array_name(name))
            fill = functools.partial(_fill, source, embed, functools.partial(_add, show, done))
            store.write(array_name(name, part), (len(source), width), fill)
            done += len(source)
    return store, tuple(parts)


def _fill(
    source: np.ndarray, embed: Embedding, progress: Callable[[int], None], target: np.ndarray
) -> None:
    for start in range(0, len(source), _BATCH):
        stop = min(start + _BATCH, len(source))
        target[start:stop] = embed(np.asarray(source[start:stop]))
        progress(stop)


def _add(show: Callable[[int], None], before: int, done: int) -> None:
    show(before + done)


def _network(encoder: keras.Model, shape: tuple[int, ...]) -> tuple[int, Embedding]:
    return encoder.output_shape[-1], build_embedding(encoder, shape)


def _projection(projector: keras.Model) -> tuple[int, Embedding]:
    def project(features: np.ndarray) -> np.ndarray:
        projected: np.ndarray = projector(features, training=False).numpy().astype(np.float32)
        return projected

    return projector.output_shape[-1], project
