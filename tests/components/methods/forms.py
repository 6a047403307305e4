"""Every method of ``METHODS``, in each of its forms, on networks and images that are tiny.

Tracing takes nearly all the time of these tests, and synchronised batch normalisation most of that:
encoder, projector and decoder have one each.
"""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.data.reading.split import Split
from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.convolutional.decoder import build_decoder
from twofold.components.encoders.heads import (
    build_linear_head,
    build_log_variance_head,
    build_predictor,
    build_projector,
)
from twofold.components.methods.generative.k_means import PatchMoments
from twofold.components.methods.queue import SupportQueue
from twofold.components.methods.settings import METHODS
from twofold.components.training.method import MethodInput

IMAGE_SHAPE = (12, 12, 1)
BATCH, CLASSES, FEATURES, PROJECTIONS, QUEUE = 8, 3, 6, 5, 12

# What distinguishes a form; its other parts are those of ``_PARTS`` that the method has a field of.
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "barlow_twins": ("barlow_twins", {}),
    "byol": ("byol", {"momentum": 0.9, "steps": 10}),
    "emp_ssl": ("emp_ssl", {"patches": 3, "invariance": 5.0}),
    "k_means": ("k_means", {"patches": 3}),
    "moco": ("moco", {"temperature": 0.2, "momentum": 0.9, "batch_norm_groups": 4}),
    "nnclr": ("nnclr", {"temperature": 0.2}),
    "self_training": ("self_training", {"temperature": 2.0, "confidence": 0.3443}),
    "simclr": ("simclr", {"temperature": 0.2}),
    "simclr, other view": ("simclr", {"temperature": 0.2, "negatives": "other_view"}),
    "simclr, few negatives": ("simclr", {"temperature": 0.2, "negatives": 3}),
    "simsiam": ("simsiam", {}),
    "supervised": ("supervised", {}),
    "vae": ("vae", {"kl_weight": 0.5}),
    "vicreg": ("vicreg", {}),
}

TRAINED = [name for name in METHODS if METHODS[name].trains]


def shift_by_key(images, keys):
    """A view that is exact in every batch size: brightness from the image's own key."""
    factor = tf.cast(keys % 1000, tf.float32) / 1000.0
    return images * factor[:, None, None, None]


def _encoder(seed, units=()):
    return build_encoder(
        "core", IMAGE_SHAPE, seed=seed, filters=(FEATURES,), units=units, pooling="average"
    )


def _projector(seed):
    return build_projector(FEATURES, seed=seed, units=(16, PROJECTIONS), batch_norm=True)


def _predictor():
    return build_predictor(PROJECTIONS, seed=3, units=(8, PROJECTIONS), batch_norm=False)


def _decoder():
    return build_decoder(IMAGE_SHAPE, seed=3, latent=FEATURES, filters=(4,), units=())


def _dictionary():
    return build_encoder("patch_dictionary", IMAGE_SHAPE, seed=3, patch=4, atoms=FEATURES, grid=1)


_PARTS = {
    "encoder": lambda: _encoder(3),
    "projector": lambda: _projector(3),
    "predictor": _predictor,
    "momentum_encoder": lambda: _encoder(3),
    "momentum_projector": lambda: _projector(3),
    "moments": lambda: PatchMoments(16),
    "queue": lambda: SupportQueue(QUEUE, PROJECTIONS, seed=3),
    "head": lambda: build_linear_head(FEATURES, CLASSES, seed=3),
    "teacher_encoder": lambda: _encoder(4),
    "teacher_head": lambda: build_linear_head(FEATURES, CLASSES, seed=4),
    "decoder": _decoder,
    "views": lambda: (shift_by_key, shift_by_key),
    "clean": lambda: shift_by_key,
    "noise": lambda: shift_by_key,
}


def build_form(form, **changes):
    """Builds a form of a method; equal calls give equal weights.

    Args:
        form: a key of ``FORMS``.
        **changes: fields of the method that differ from the form's.

    """
    name, settings = FORMS[form]
    implementation = METHODS[name].load_implementation()
    fields = {field.name for field in dataclasses.fields(implementation)}
    defaults = {key: value for key, value in METHODS.defaults(name).items() if key not in _PARTS}
    fixed = {
        **{key: value for key, value in defaults.items() if key in fields},
        "compile_views": False,
        **settings,
        **changes,
    }
    if METHODS[name].view_policies == 1 and "views" in fields:
        fixed.setdefault("views", (shift_by_key,))
    if name == "vae":
        # As many normalisations as an encoder without a dense layer has with two heads.
        encoder = _encoder(3, units=(FEATURES,))
        read = encoder.get_layer("average")
        fixed.setdefault("encoder", encoder)
        fixed.setdefault("trunk", keras.Model(encoder.input, [encoder.output, read.output]))
        fixed.setdefault("head", build_log_variance_head(FEATURES, seed=3, units=FEATURES))
    if name == "k_means":
        fixed.setdefault("encoder", _dictionary())
    # In one order: workers in several processes must make their variables alike.
    parts = {part: build() for part, build in _PARTS.items() if part in fields - fixed.keys()}
    return implementation(**parts, **fixed)


def random_split(seed=0):
    """Gives 17 images with labels, more than two batches and less than three."""
    generator = np.random.default_rng(seed)
    return Split(
        images=generator.integers(0, 256, (17, *IMAGE_SHAPE), dtype=np.uint8),
        labels=generator.integers(0, CLASSES, 17, dtype=np.int32),
        keys=np.array([f"image/{index}" for index in range(17)]),
        latents=np.zeros((17, 0), np.float32),
        class_names=tuple("abc"),
        latent_names=(),
        name="train",
    )


def global_batch(step):
    """Gives the images, labels (some of them -1) and key_hashes of a step, as arrays."""
    generator = np.random.default_rng(step)
    return {
        "image": generator.integers(0, 256, (BATCH, *IMAGE_SHAPE), dtype=np.uint8),
        "label": generator.integers(-1, CLASSES, BATCH, dtype=np.int32),
        "key_hash": (np.arange(BATCH, dtype=np.int64) + step * BATCH) * 7_919,
    }


def method_input(step=0, **changes):
    """Gives what a method gets of a step's batch, on one device.

    Args:
        step: of the batch and its keys.
        **changes: ``image``, ``label`` or ``key_hash`` in place of the batch's own.

    """
    batch = global_batch(step) | changes
    count = tf.constant(step, tf.int64)
    return MethodInput(
        images=tf.constant(batch["image"]),
        labels=tf.constant(batch["label"]),
        keys=keyed_random.image_keys(11, count, tf.constant(batch["key_hash"])),
        step=count,
    )


def distribute_batch(strategy, batch):
    """Gives each replica its part of a batch, in order."""
    replicas = strategy.num_replicas_in_sync

    def part(context):
        rows = len(batch["image"]) // replicas
        start = context.replica_id_in_sync_group * rows
        return {name: tf.constant(value[start : start + rows]) for name, value in batch.items()}

    if replicas == 1:
        return {name: tf.constant(value) for name, value in batch.items()}
    return strategy.experimental_distribute_values_from_function(part)


def values_of(state):
    """Gives everything that a training state holds, by name, as arrays."""
    trackables = {**state.models, **state.memory, "optimizer": state.optimizer}
    held = {name: trackable.variables for name, trackable in trackables.items()}
    if state.probe is not None:
        held["probe"] = state.probe.head.variables + state.probe.optimizer.variables
    if state.average is not None:
        held["average"] = state.average.averages
    return {
        f"{name}/{index}": np.asarray(variable)
        for name, variables in held.items()
        for index, variable in enumerate(variables)
    }
