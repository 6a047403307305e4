"""TensorBoard of the final evaluation: measures, pictures, and embeddings to look around in.

It is drawn from results, in a folder of its own, which each evaluation replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tensorboard.plugins.pr_curve import summary as pr_curve

from twofold.components import files
from twofold.components.data.reading.split import Split
from twofold.components.evaluation.geometry.similarity_matrix import sample_rows
from twofold.components.evaluation.metric_catalogue import Direction
from twofold.components.evaluation.metrics import BOUNDS, describe, value_text
from twofold.components.evaluation.probes.linear_probe import LinearProbe
from twofold.components.training.tensorboard.event_writer import TensorBoardWriter
from twofold.components.training.tensorboard.projector_files import write_projector_files
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_hyperparameters import EVALUATION, RESULTS
from twofold.pipeline.steps.reuse.outputs import evaluation_figures

# Within a run's folder of TensorBoard, so that its measures count as those of the training.
FOLDER = f"tensorboard/{EVALUATION}"
# As many as a browser moves about smoothly.
_PROJECTED = 1000
# With more, nobody looks at each one's precision and recall.
_CLASSES = 20
_THRESHOLDS = 101
_CURVES = ("prepare/", "pretrain/", "export/")
_BEST = {
    Direction.HIGHER: "; higher is better",
    Direction.LOWER: "; lower is better",
    Direction.NONE: "",
}


def show_evaluation(
    context: Context,
    metrics: Mapping[str, float],
    embeddings: np.ndarray,
    split: Split,
    probe: LinearProbe | None,
) -> None:
    """Writes what TensorBoard shows of a finished evaluation.

    Args:
        context: of the run, whose pictures are drawn.
        metrics: that the evaluation measured.
        embeddings: float [N, D] of the held-out images.
        split: these images.
        probe: of the embeddings; None without classes.

    """
    run = context.run
    step = int(run.details("pretrain").get("steps", 0))
    before = {name: value for name, value in run.metrics().items() if not _is_left_out(name)}
    measured = {**before, **{n: v for n, v in metrics.items() if not _is_left_out(n)}}
    with files.new_directory(run.path / FOLDER, replace=True) as folder:
        writer = TensorBoardWriter(folder)
        for name, value in measured.items():
            known = describe(name)
            writer.scalar(step, f"{RESULTS}/{name}", value, known.title + _BEST[known.direction])
        writer.text(step, RESULTS, _table(measured))
        if probe is not None and len(split.class_names) <= _CLASSES:
            _show_precision(writer, step, probe, embeddings, split)
        for path in evaluation_figures(run.path):
            writer.image(step, f"{RESULTS}/{path.stem}", path)
        writer.close()
        if len(embeddings):
            _project(folder, embeddings, split, context.config.seed)


def _show_precision(
    writer: TensorBoardWriter, step: int, probe: LinearProbe, embeddings: np.ndarray, split: Split
) -> None:
    known = split.labels >= 0
    probabilities, labels = probe.probabilities(embeddings[known]), split.labels[known]
    for index, name in enumerate(split.class_names):
        curve = pr_curve.pb(
            f"{RESULTS}/{name.replace('/', '_')}",
            labels == index,
            probabilities[:, index],
            num_thresholds=_THRESHOLDS,
            description=f"linear probe, {name} against all other classes, held out",
        )
        writer.message(curve, step)


def _is_left_out(name: str) -> bool:
    return name.startswith(_CURVES) or name.endswith(BOUNDS)


def _table(metrics: Mapping[str, float]) -> str:
    rows = (f"| {describe(name).title} | {value_text(name, metrics[name])} |" for name in metrics)
    return "\n".join(("| measure | value |", "| --- | --- |", *rows))


def _project(folder: Path, embeddings: np.ndarray, split: Split, seed: int) -> None:
    rows = sample_rows(len(embeddings), _PROJECTED, seed)
    columns: dict[str, list[object]] = {"image": split.keys[rows].tolist()}
    if split.class_names:
        names = (*split.class_names, "none")
        columns["class"] = [names[label] for label in split.labels[rows]]
    for index, name in enumerate(split.latent_names):
        columns[name] = [f"{value:.6g}" for value in split.latents[rows, index]]
    images = np.asarray(split.images[rows])
    write_projector_files(folder, split.name or "embeddings", embeddings[rows], columns, images)
