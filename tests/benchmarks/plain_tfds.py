"""Shards by TensorFlow Datasets' own writer, to compare with.

It takes the files as they are: nothing is decoded, checked, hashed or counted.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from tests.benchmarks.inputs import list_images, open_images, split_and_class


class Images(tfds.core.GeneratorBasedBuilder):
    """The images in a .zip or a folder, whose path is the configuration's description."""

    VERSION = tfds.core.Version("1.0.0")
    images: Path

    def _info(self) -> tfds.core.DatasetInfo:
        classes = {split_and_class(name)[1] for name in list_images(self.images)}
        features = {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=sorted(classes)),
            "key": tfds.features.Text(),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, _: Any) -> dict[str, Any]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
        read = open_images(self.images)
        for key in list_images(self.images):
            label = split_and_class(key)[1]
            yield key, {"image": io.BytesIO(read(key)), "label": label, "key": key}


def prepare_with_tfds(images: Path, output: Path) -> int:
    """Writes a dataset; how many images it wrote."""
    tfds.disable_progress_bar()
    Images.images = images
    builder = Images(data_dir=output)
    builder.download_and_prepare()
    return int(builder.info.splits["train"].num_examples)
