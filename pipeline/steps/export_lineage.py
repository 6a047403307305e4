"""Lineage, model card and recorded requests of an exported model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from twofold.components.data.store import record_schema
from twofold.components.data.store.manifest import Manifest
from twofold.components.export.proof.proof import FEW, Sample
from twofold.components.export.saved_model.lineage import (
    NOT_STATED,
    DataSummary,
    Lineage,
    checkpoint_sha256,
    installed_versions,
    package_licences,
    write_lineage,
)
from twofold.components.export.saved_model.recorded_requests import RecordedSample, write_sample
from twofold.components.export.saved_model.signature_contract import read_contract
from twofold.components.export.saved_model.version_directory import write_checksums
from twofold.components.export.saved_model.warmup_requests import (
    example_inputs,
    warmup_requests,
    write_warmup_requests,
)
from twofold.components.pages.model_card import write_model_card
from twofold.components.transforms.decode import DecodeRule
from twofold.pipeline.config import to_yaml
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_record import read_record


def describe(
    context: Context, version: Path, rule: DecodeRule, sample: Sample, proof: Mapping[str, float]
) -> None:
    """Writes ``assets.extra`` of a proven version; checksums of all its files come last."""
    lineage = _lineage(context, rule, sample, proof)
    write_lineage(version, lineage)
    write_model_card(version, lineage)
    files, images = sample.image_bytes[:FEW], sample.images[:FEW]
    inputs = example_inputs(files, images, record_schema.IMAGE)
    write_warmup_requests(version, warmup_requests(read_contract(version), inputs))
    write_sample(version, RecordedSample(files, images, sample.embeddings[:FEW]))
    write_checksums(version)


def _lineage(
    context: Context, rule: DecodeRule, sample: Sample, proof: Mapping[str, float]
) -> Lineage:
    record, manifest = read_record(context.run.path), context.manifest()
    held_out, images = record.held_out
    return Lineage(
        configuration=context.config.model_dump(mode="json"),
        configuration_yaml=to_yaml(context.config),
        class_names=tuple(sample.class_names),
        image={
            "height": rule.height,
            "width": rule.width,
            "channels": rule.channels,
            "formats": ["JPEG", "PNG"],
            "max_pixels": rule.max_pixels,
            "exif_orientation": "not applied: turn images upright before they are sent",
        },
        data=_data(manifest, context.config.data.licence),
        checkpoint=checkpoint_sha256(context.run.path / "checkpoints" / "final"),
        metrics=context.run.metrics() | {f"export/{name}": value for name, value in proof.items()},
        held_out_split=held_out or "",
        held_out_images=images,
        versions=installed_versions(record.values.get("git_revision")),
        licences=package_licences(),
    )


def _data(manifest: Manifest, licence: str | None) -> DataSummary:
    labels: Counter[str] = Counter()
    for split in manifest.splits.values():
        labels.update(split.labels)
    found = manifest.duplicates
    return DataSummary(
        fingerprint=manifest.fingerprint,
        name=manifest.name,
        source=manifest.source.kind,
        images={name: split.images for name, split in manifest.splits.items()},
        labels=dict(labels),
        rejected=manifest.counts.rejected,
        duplicates=found.exact if found.near is None else found.near,
        leaked=found.leaked,
        licence=licence or NOT_STATED,
    )
