"""Plot of the similarity of held-out images, sorted by class or by a latent."""

from __future__ import annotations

import numpy as np

from twofold.components.data.reading.split import Split
from twofold.components.evaluation.geometry.similarity_matrix import (
    sample_rows,
    similarity_matrix,
    sort_order,
)
from twofold.components.evaluation.plots.run_plots import plot_rsm
from twofold.pipeline.runs.run_context import Context


def plot_similarity(context: Context, embeddings: np.ndarray, split: Split) -> None:
    """Draws ``evaluation.rsm_images`` of a split, by ``evaluation.rsm_latent``.

    Args:
        context: of the run.
        embeddings: float [N, D] of the split's images.
        split: with more than one class, or with latents.

    """
    config = context.config.evaluation
    by_class = config.rsm_latent is None and len(split.class_names) > 1
    latent = "class" if by_class else config.rsm_latent or split.latent_names[0]
    # Images without a class have no place among the classes.
    usable = np.flatnonzero(split.labels >= 0) if by_class else np.arange(len(embeddings))
    rows = usable[sample_rows(len(usable), config.rsm_images, context.config.seed)]
    columns = {name: split.latents[rows, index] for index, name in enumerate(split.latent_names)}
    values = split.labels[rows] if by_class else columns.pop(latent)
    order = sort_order(values, *columns.values())
    plot_rsm(
        similarity_matrix(embeddings[rows], order),
        values[order],
        latent,
        f"Similarity of {len(rows)} held-out images, sorted by {latent}",
        context.run.path / "figures" / "rsm.png",
        split.class_names if by_class else None,
    )
