"""Estimate of a run for the terminal: steps, images, parameters, memory, disk and time."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from twofold.components.training.reporting.intervals import duration
from twofold.pipeline.rehearsal.estimate import Estimate, StageEstimate


def estimate_table(estimate: Estimate) -> Table:
    """Gives a row for each thing that a run takes."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for row in _rows(estimate):
        table.add_row(*row)
    return table


def _rows(estimate: Estimate) -> Iterator[tuple[str, str]]:
    height, width, channels = estimate.image_shape
    about = "" if estimate.counted else "about "
    splits = ", ".join(f"{one.images:,} {name}" for name, one in estimate.splits.items())
    yield "images", f"{about}{estimate.images:,} ({splits}), seen at {height}x{width}x{channels}"
    for stage in estimate.stages:
        yield from _stage_rows(stage)
    yield "embedding", f"{estimate.features:,} numbers an image"
    most = estimate.memory_bytes
    if estimate.stages:
        yield "memory", "not known on this system" if most is None else f"at least {_size(most)}"
    parts = ", ".join(f"{name} {_size(size)}" for name, size in estimate.disk.items() if size)
    yield "disk", f"{_size(sum(estimate.disk.values()))}: {parts}"
    times = dict(_time_parts(estimate))
    if times:
        listed = ", ".join(f"{name} {duration(seconds)}" for name, seconds in times.items())
        beside = "; and what is measured, proven and converted then"
        yield (
            "time",
            f"{duration(estimate.seconds)} on {estimate.device}: {listed}"
            f"{beside if {'evaluate', 'export'} & {*estimate.steps} else ''}",
        )


def _time_parts(estimate: Estimate) -> Iterator[tuple[str, float]]:
    if "prepare" in estimate.steps:
        yield "preparation", estimate.prepare_seconds
    if "pretrain" in estimate.steps:
        yield "training", sum(stage.seconds for stage in estimate.stages)
    if "evaluate" in estimate.steps:
        yield "embedding", estimate.evaluate_seconds


def _stage_rows(stage: StageEstimate) -> Iterator[tuple[str, str]]:
    left = f"; left of these steps: {stage.left:,}" if stage.trained else ""
    yield (
        stage.name,
        f"{stage.steps:,} steps of {stage.batch_size:,} images ({stage.steps_per_epoch:,} an "
        f"epoch), {stage.images_seen:,} images seen{left}",
    )
    yield "  parameters", f"{stage.parameters:,}"
    step = "not known" if stage.step_bytes is None else _size(stage.step_bytes)
    yield (
        "  memory",
        f"weights {_size(stage.weights_bytes)}, optimizer {_size(stage.optimizer_bytes)}, "
        f"activations and working space {step}",
    )
    rate = stage.batch_size / stage.step_seconds
    yield (
        "  time",
        f"{duration(stage.seconds)}: first step {stage.first_step_seconds:.1f} s, then "
        f"{1000 * stage.step_seconds:,.0f} ms a step, {rate:,.0f} images/s",
    )


def _size(size: float) -> str:
    if size < 2**20:
        return f"{size / 2**10:.0f} KiB"
    return f"{size / 2**20:,.1f} MiB" if size < 2**30 else f"{size / 2**30:,.1f} GiB"
