"""Export step: from an encoder to a proven SavedModel."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from twofold.components import files, keyed_random
from twofold.components.data.reading.reader import read_encoded
from twofold.components.data.reading.split import Split
from twofold.components.data.store import record_schema
from twofold.components.encoders.heads import build_linear_head
from twofold.components.evaluation.embedding import embed
from twofold.components.evaluation.probes.knn import knn_predict
from twofold.components.evaluation.probes.linear_probe import LinearProbe
from twofold.components.export.proof.proof import FEW, Sample, prove
from twofold.components.export.saved_model.classifier_heads import Head, LinearHead, NetworkHead
from twofold.components.export.saved_model.knn_head import NeighbourHead
from twofold.components.export.saved_model.module import save_encoder
from twofold.components.export.saved_model.signatures import TrainingViews, evaluation_view
from twofold.components.training.resuming.weights_files import read_final
from twofold.pipeline.models.build import build_training_views, rebuild_encoder
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.export_formats import write_formats
from twofold.pipeline.steps.export_lineage import describe
from twofold.pipeline.steps.measures.fine_tuning_stage import FINETUNED
from twofold.pipeline.training import prepared_images as step_images

# A batch of the evaluation, so that the embeddings can be the same to the last bit; fewer where
# images are large.
_PROOF_IMAGES = 256
_PROOF_BYTES = 2**27
# An index of neighbours that would be larger is left out.
_INDEX_BYTES = 2**28


def run(context: Context, details: dict[str, Any]) -> dict[str, float]:
    """Writes ``saved_model/1``, proves it in fresh processes, and only then gives it its name."""
    path, manifest, config = context.run.path, context.manifest(), context.config.export
    held_out_name = context.run.details("evaluate")["held_out_split"]
    rule = step_images.decode_rule(context, manifest)
    split = step_images.load(context, manifest, held_out_name)
    encoder = rebuild_encoder(path / "checkpoints")
    heads = _heads(context, encoder, len(split.class_names))
    views = build_training_views(context.config)
    sample = _sample(context, held_out_name, split, heads, views)
    (path / "saved_model").mkdir(parents=True, exist_ok=True)
    with files.new_directory(path / "saved_model" / "1", replace=True) as version:
        signatures = save_encoder(
            version,
            encoder,
            rule,
            heads.get(""),
            class_names=sample.class_names,
            heads={name: head for name, head in heads.items() if name},
            views=views,
            tta_view=evaluation_view(flip=config.tta_flip),
            example_feature=record_schema.IMAGE,
        )
        proof = prove(version, sample, signatures)
        describe(context, version, rule, sample, proof.metrics())
    details["proof"] = {"images": len(sample.image_bytes), **proof.differences}
    details["signatures"] = signatures
    size = sum(file.stat().st_size for file in (path / "saved_model" / "1").rglob("*"))
    converted = write_formats(context, details, encoder, heads.get(""), split)
    return (
        converted
        | {"export/bytes": size}
        | {f"export/{name}": d for name, d in proof.metrics().items()}
    )


def _heads(context: Context, encoder: keras.Model, classes: int) -> dict[str, Head]:
    """Gives the classifiers that the run has, the default one under an empty name."""
    chosen = context.run.details("evaluate").get("chosen")
    if chosen is None:
        return {}
    folder = context.run.path / "embeddings"
    with np.load(folder / "linear_probe.npz", allow_pickle=False) as arrays:
        heads: dict[str, Head] = {"": LinearHead(arrays["weights"], arrays["bias"])}
    embeddings = np.load(folder / "train.npy", mmap_mode="r", allow_pickle=False)
    labels = np.load(folder / "train_labels.npy", allow_pickle=False)
    known = labels >= 0
    size = int(known.sum()) * embeddings.shape[1] * 4
    if context.config.export.neighbour_head and size <= _INDEX_BYTES:
        heads["knn"] = NeighbourHead(
            np.asarray(embeddings)[known],
            labels[known],
            classes,
            k=chosen["neighbours"],
            temperature=context.config.evaluation.neighbour_temperature,
        )
    elif context.config.export.neighbour_head:
        context.say(
            f"export: without classify_knn, whose index of {size / 2**20:.0f} MiB is larger than "
            f"{_INDEX_BYTES / 2**20:.0f}"
        )
    if context.config.method.classifies:
        network = build_linear_head(encoder.output_shape[-1], classes, seed=0)
        read_final(context.run.path / "checkpoints", {"head": network})
        heads["classifier"] = NetworkHead(network)
    finetuned = context.run.path / FINETUNED
    if "finetune" in context.run.details("evaluate"):
        own = rebuild_encoder(finetuned)
        network = build_linear_head(own.output_shape[-1], classes, seed=0)
        read_final(finetuned, {"head": network})
        heads["finetuned"] = NetworkHead(network, own)
    return heads


def _sample(
    context: Context,
    held_out_name: str,
    split: Split,
    heads: Mapping[str, Head],
    views: TrainingViews,
) -> Sample:
    """Records held-out images, and what the offline computations make of them."""
    image_bytes = int(np.prod(split.images.shape[1:]))
    count = max(FEW, min(_PROOF_IMAGES, _PROOF_BYTES // image_bytes))
    encoded = read_encoded(context.dataset_directory, held_out_name, count)
    images = np.asarray(split.images[: len(encoded)])
    folder, seed = context.run.path / "embeddings", context.config.seed
    embeddings = np.load(folder / f"{held_out_name}.npy", mmap_mode="r")[: len(encoded)]
    few = images[:FEW]
    keys = keyed_random.image_keys(
        seed, tf.constant(0, tf.int64), tf.range(len(few), dtype=tf.int64)
    )
    # In a graph, as training draws them.
    drawn = tf.stack(tf.function(views, autograph=False)(tf.constant(few), keys)).numpy()
    signatures = {f"classify_{name}" if name else "classify": head for name, head in heads.items()}
    return Sample(
        image_bytes=encoded,
        images=images,
        embeddings=embeddings,
        class_names=split.class_names if heads else (),
        heads={name: _offline(head, few) for name, head in signatures.items()},
        views=drawn,
        seed=seed,
        other_encoders=[name for name, head in signatures.items() if head.encoder is not None],
        example_feature=record_schema.IMAGE,
    )


def _offline(head: Head, images: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Gives a head's arithmetic outside of the graph, from embeddings [n, D] to [n, K].

    A head with an encoder of its own answers for the images that it is given.
    """
    if isinstance(head, LinearHead):
        return LinearProbe(head.weights, head.bias).probabilities
    if isinstance(head, NeighbourHead):
        return functools.partial(
            knn_predict,
            head.embeddings,
            head.labels,
            classes=head.classes,
            k=head.k,
            temperature=head.temperature,
        )
    features = None if head.encoder is None else embed(head.encoder, images)
    logits = head.build().logits

    def probabilities(embeddings: np.ndarray) -> np.ndarray:
        return np.asarray(tf.nn.softmax(logits(embeddings if features is None else features)))

    return probabilities
