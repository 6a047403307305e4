"""An encoder to a proven SavedModel."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from components.data.reader import read_encoded
from components.export.module import LinearHead, save_encoder
from components.export.verify import Sample, prove
from pipeline.artifacts import publish_directory
from pipeline.build import rebuild_encoder
from pipeline.steps import images as step_images
from pipeline.steps.context import Context

_PROOF_IMAGES = 16


def run(context: Context, details: dict[str, Any]) -> dict[str, float]:
    """Writes ``saved_model/1``, proves it in a fresh process, and only then gives it its name."""
    path, manifest = context.run.path, context.manifest()
    held_out_name = context.run.details("evaluate")["held_out_split"]
    rule = step_images.decode_rule(context, manifest)
    probe_path = path / "embeddings" / "linear_probe.npz"
    head = None
    if probe_path.exists():
        with np.load(probe_path, allow_pickle=False) as arrays:
            head = LinearHead(arrays["weights"], arrays["bias"])
    split = step_images.load(context, manifest, held_out_name)
    encoded = read_encoded(context.dataset_directory, held_out_name, _PROOF_IMAGES)
    sample = Sample(
        image_bytes=encoded,
        images=np.asarray(split.images[: len(encoded)]),
        embeddings=np.load(path / "embeddings" / f"{held_out_name}.npy")[: len(encoded)],
    )
    (path / "saved_model").mkdir(parents=True, exist_ok=True)
    with publish_directory(path / "saved_model" / "1") as version:
        save_encoder(version, rebuild_encoder(path / "checkpoints"), rule, head)
        differences = prove(version, sample)
        extra = version / "assets.extra"
        extra.mkdir(exist_ok=True)
        description = {
            "configuration": context.config.model_dump(mode="json"),
            "class_names": list(split.class_names) if head is not None else [],
            "image": {"height": rule.height, "width": rule.width, "channels": rule.channels},
            "dataset_fingerprint": manifest.fingerprint,
            "metrics": context.run.metrics(),
        }
        (extra / "twofold.json").write_text(
            json.dumps(description, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )
    details["proof"] = {"images": len(encoded), **differences}
    size = sum(file.stat().st_size for file in (path / "saved_model" / "1").rglob("*"))
    return {"export/bytes": size} | {f"export/{name}": d for name, d in differences.items()}
