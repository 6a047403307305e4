"""Recipe's linear probe, trained as the settings of an evaluation say."""

from __future__ import annotations

import numpy as np

from twofold.components.evaluation.probes.linear_probe import LinearProbe, fit_recipe_probe
from twofold.pipeline.config import EvaluationConfig


def train_recipe_probe(
    evaluation: EvaluationConfig,
    embeddings: np.ndarray,
    labels: np.ndarray,
    *,
    classes: int,
    epochs: int,
    seed: int,
    held_out: tuple[np.ndarray, np.ndarray] | None = None,
) -> LinearProbe:
    """Trains the probe of ``evaluation.probe_...``; see ``fit_recipe_probe``.

    Args:
        evaluation: with the probe's settings.
        embeddings: float32 [N, D].
        labels: int32 [N].
        classes: K.
        epochs: in place of ``probe_epochs``, which fewer labels change.
        seed: of its weights and of the order of the images.
        held_out: embeddings and labels to measure on after each epoch; None for none.

    """
    return fit_recipe_probe(
        embeddings,
        labels,
        classes=classes,
        epochs=epochs,
        batch_size=evaluation.probe_batch_size,
        learning_rate=evaluation.probe_learning_rate,
        schedule_epochs=evaluation.probe_schedule_epochs,
        optimizer=evaluation.probe_optimizer,
        penalty=evaluation.probe_penalty,
        last_batch=evaluation.probe_last_batch,
        initializer=evaluation.probe_initializer,
        held_out=held_out,
        seed=seed,
    )
