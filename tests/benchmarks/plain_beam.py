"""Preparation as Beam's own examples would have it, to compare with: an element an image.

Every image is checked, hashed and counted with the same functions; records go through
`WriteToTFRecord`, rejected images through `WriteToText`, and the sums through `CombineGlobally`.
Duplicates are not searched for, and records are in no order.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from tests.benchmarks.inputs import list_images, open_images, split_and_class
from tests.benchmarks.plain_loop import IMAGES_PER_SHARD
from twofold.components.data.rules.duplicates import (
    detail_hashes,
    perceptual_hashes,
    pixel_digest,
)
from twofold.components.data.rules.image_rules import RejectedError, check
from twofold.components.data.store.pixel_statistics import PixelTotals, pixel_sums


class _Examine(beam.DoFn):
    def __init__(self, images: Path, classes: list[str]) -> None:
        self._images = images
        self._label_of = {name: label for label, name in enumerate(classes)}

    def setup(self) -> None:
        self._read = open_images(self._images)

    def process(self, key: str) -> Iterator[Any]:
        content = self._read(key)
        try:
            checked = check(content)
        except RejectedError as error:
            yield beam.pvalue.TaggedOutput("rejected", json.dumps([key, error.reason]))
            return
        height, width, _ = checked.pixels.shape
        (sums,), (squares,) = pixel_sums(checked.pixels[None])
        yield beam.pvalue.TaggedOutput("sums", (height * width, sums.tolist(), squares.tolist()))
        (first,) = perceptual_hashes([checked.pixels])
        (second,) = detail_hashes([checked.pixels])
        label = self._label_of.get(split_and_class(key)[1], -1)
        yield _record(
            {
                "image": checked.payload,
                "key": key.encode(),
                "sha256": hashlib.sha256(content).digest(),
                "digest": pixel_digest(checked.pixels),
                "hashes": b"%016x%016x" % (first, second),
            },
            label,
        )


def _record(texts: dict[str, bytes], label: int) -> bytes:
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text]))
        for name, text in texts.items()
    }
    features["label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    record: bytes = example.SerializeToString()
    return record


class _Total(beam.CombineFn):
    def create_accumulator(self) -> PixelTotals:
        return PixelTotals()

    def add_input(
        self, totals: PixelTotals, counted: tuple[int, list[int], list[int]]
    ) -> PixelTotals:
        totals.add(*counted)
        return totals

    def merge_accumulators(self, several: Any) -> PixelTotals:
        return PixelTotals().merge(several)

    def extract_output(self, totals: PixelTotals) -> str:
        return json.dumps(totals.to_json())


def prepare_with_plain_beam(images: Path, output: Path) -> int:
    """Writes shards, rejects and statistics; how many images it looked at."""
    logging.disable(logging.CRITICAL)
    output.mkdir()
    names = list_images(images)
    classes = sorted({split_and_class(name)[1] for name in names} - {""})
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        examined = (
            pipeline
            | "Names" >> beam.Create(names)
            | "Examine"
            >> beam.ParDo(_Examine(images, classes)).with_outputs(
                "rejected", "sums", main="records"
            )
        )
        _ = examined.records | "Shards" >> beam.io.WriteToTFRecord(
            str(output / "train"),
            file_name_suffix=".tfrecord",
            num_shards=-(-len(names) // IMAGES_PER_SHARD),
        )
        _ = examined.rejected | "Rejects" >> beam.io.WriteToText(str(output / "rejects"))
        _ = (
            examined.sums
            | "Totals" >> beam.CombineGlobally(_Total())
            | "Statistics" >> beam.io.WriteToText(str(output / "statistics"))
        )
    return len(names)
