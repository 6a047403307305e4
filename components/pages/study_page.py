"""Study page: several encoders side by side, in one HTML file that opens anywhere, offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twofold.components.evaluation.metric_catalogue import Place
from twofold.components.evaluation.metrics import (
    bounds_of,
    describe,
    interval_text,
    members,
    names_at,
    value_text,
)
from twofold.components.pages.expected_result import ExpectedResult
from twofold.components.pages.page_template import page_environment, png_uri

_CAPTIONS = {
    "accuracies": "Held-out accuracy by encoder, beside the published one where there is any.",
    "fractions": "Accuracy by the share of the labels, logarithmic; dashed: on the images that "
    "were trained on.",
    "probe_losses": "How the recipe's probes learn on frozen features: the loss of each epoch.",
    "images_latents": "Held-out images with the values of their latents.",
    "images_positions": "The same, with their centres and the box of all centres.",
    "decodability": "How well a linear read-out gets each latent: the colour is the share of the "
    "way from chance to perfect.",
    "rsm_overlay": "The similarities of some encoders over each other.",
    "rsm_histogram": "How cosine similarities of different images spread: the further pairs of one "
    "class lie from the others, the more the encoder sorts images by it.",
}


@dataclass(frozen=True)
class StudyContent:
    """What the page of a study is made of.

    Attributes:
        name: of the study.
        label: what the classes are called.
        encoders: in their order.
        metrics: ``study/<encoder>/<measure>`` -> value.
        reference: published accuracy by encoder.
        seeds: what was run, by encoder: seed -> accuracy with all labels.
        figures: name -> PNG file.
        figures_of_seed: the seed whose embeddings matrices and read-outs are of.
        lineage: what it was made from and with.
        configuration: all settings, YAML.
        members: (name, relative address of its page, seconds).
        notes: what a reader should know, a sentence each.
        expected: results of the recipe that was run.
        expected_notes: on what they were measured, and in what the study differs.

    """

    name: str
    label: str
    encoders: Sequence[str]
    metrics: Mapping[str, float]
    reference: Mapping[str, float]
    seeds: Mapping[str, Mapping[str, float]]
    figures: Mapping[str, bytes]
    figures_of_seed: int
    lineage: Sequence[tuple[str, str]]
    configuration: str
    members: Sequence[tuple[str, str | None, float]]
    notes: Sequence[str] = ()
    expected: Sequence[ExpectedResult] = ()
    expected_notes: Sequence[str] = ()


def render_study(content: StudyContent) -> str:
    """The page, as HTML; equal content gives equal text."""
    measures = {name.split("/", 2)[2] for name in content.metrics}
    shown = map(describe, names_at(Place.STUDY_TABLE))
    columns = [(one.study_name, one.column) for one in shown if one.study_name in measures]
    values = {
        "content": content,
        "columns": columns,
        "rows": [
            _row(content, encoder, [name for name, _ in columns]) for encoder in content.encoders
        ],
        "shares": _shares(content),
        "figures": {name: png_uri(png) for name, png in sorted(content.figures.items())},
        "captions": _CAPTIONS,
        "curves": [name for name in sorted(content.figures) if name.startswith("fractions")],
        "images": [name for name in sorted(content.figures) if name.startswith("images_")],
        "matrices": [name for name in sorted(content.figures) if name.startswith("rsm_")],
        "measures": [
            (name, describe(name).title, value_text(name, content.metrics[name]))
            for name in sorted(content.metrics)
        ],
        "seconds": sum(seconds for _, _, seconds in content.members),
    }
    return page_environment().get_template("study.html").render(values)


def _row(content: StudyContent, encoder: str, columns: Sequence[str]) -> dict[str, object]:
    prefix = f"study/{encoder}/"
    accuracy = f"{prefix}{content.label}_accuracy"
    metrics = content.metrics
    low, high = bounds_of(accuracy, metrics) or (None, None)
    return {
        "encoder": encoder,
        "accuracy": metrics[accuracy],
        "low": low,
        "high": high,
        "seeds": content.seeds.get(encoder, {}),
        "reference": content.reference.get(encoder),
        "cells": [_cell(metrics, prefix + name) for name in columns],
    }


def _cell(metrics: Mapping[str, float], name: str) -> tuple[str, str]:
    """Gives a measure and its interval as texts; empty where there is none."""
    if name not in metrics:
        return "", ""
    bounds = bounds_of(name, metrics)
    return value_text(name, metrics[name]), interval_text(name, *bounds) if bounds else ""


def _shares(content: StudyContent) -> dict[str, object]:
    """Accuracy by share of the labels (column) and encoder (row)."""
    found: dict[float, dict[str, float]] = {}
    for encoder in content.encoders:
        name = f"study/{encoder}/{content.label}_accuracy"
        for (share,), fewer in members(f"{name}@*", content.metrics).items():
            found.setdefault(float(share), {})[encoder] = content.metrics[fewer]
    if found:
        # Also of an encoder that was measured with all labels alone.
        for encoder in content.encoders:
            name = f"study/{encoder}/{content.label}_accuracy"
            if name in content.metrics:
                found.setdefault(1.0, {}).setdefault(encoder, content.metrics[name])
    shares = sorted(found)
    return {
        "shares": shares,
        "rows": [
            (encoder, [found[share].get(encoder) for share in shares])
            for encoder in content.encoders
        ],
    }
