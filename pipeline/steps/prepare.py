"""Raw images to TFRecord shards."""

from __future__ import annotations

from typing import Any

from components.data.prepare import prepare
from pipeline.steps.context import Context
from pipeline.steps.inputs import build_data_source, preparation_settings, step_inputs


def run(context: Context, details: dict[str, Any]) -> dict[str, float]:
    """Prepares the data set in the shared folder, unless another run already did."""
    data = context.config.data
    name = f"{data.source}-{step_inputs('prepare', context)}"
    source = build_data_source(data)
    total = sum(chunk.stop - chunk.start for chunk in source.chunks())
    with context.progress("prepare", total, "images") as show:
        manifest = prepare(
            source,
            context.datasets / name,
            name=name,
            beam_options=context.beam_options,
            progress=show,
            **preparation_settings(data),
        )
        show(total)
    details["dataset"] = name
    details["dataset_fingerprint"] = manifest.fingerprint
    counts = manifest.counts
    splits = ", ".join(f"{split.images:,} {name}" for name, split in manifest.splits.items())
    context.say(f"{counts.written:,} images ({splits}) in {context.datasets / name}")
    if counts.rejected:
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.reasons.items())
        context.say(
            f"{counts.rejected} of {counts.read} images were rejected ({reasons}): "
            f"see {context.datasets / name / 'rejects.jsonl'}"
        )
    return {
        "prepare/read": counts.read,
        "prepare/written": counts.written,
        "prepare/rejected": counts.rejected,
    }
