"""TensorFlow Datasets metadata: the files by which it reads a prepared data set as its own.

They are written here as JSON, in the form that TensorFlow Datasets saves them in, because its
import takes seconds; the tests hold them to what it reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from twofold.components.data.store import record_schema
from twofold.components.data.store.manifest import SplitRecord

INFO_FILE = "dataset_info.json"
FEATURES_FILE = "features.json"
CLASSES_FILE = f"{record_schema.LABEL}.labels.txt"

_FEATURES = "tensorflow_datasets.core.features"
# The shards' names, in the words of TensorFlow Datasets.
_SHARD_NAMES = "{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}"


def tfds_files(
    *,
    name: str,
    class_names: Sequence[str],
    latent_names: Sequence[str],
    channels: int,
    raw: bool,
    weighted: bool,
    splits: Mapping[str, SplitRecord],
    shape: Sequence[int] | None = None,
) -> dict[str, str]:
    """The text of each file that `tfds.builder_from_directory` needs beside the shards.

    An element then has `image` (uint8 [H, W, channels]) and `key`; with classes `label` (-1 for
    none), with latents `latents` (float32), and with weights `weight` (float32).

    Records of pixels do not say their shape in a way that TensorFlow Datasets knows. Where all
    images have one shape it is declared, and `image` is as above. Where they have not, `image` is
    the string of the pixels' bytes and `shape` int64 [3] is there, too:
    `tf.reshape(tf.io.decode_raw(image, tf.uint8), shape)`.

    Args:
        name: the dataset's.
        class_names: in the order of the labels; a name that TensorFlow Datasets could not keep (an
            empty one, one with a line break or with spaces around it) makes it number them all.
        latent_names: in the order of the latents.
        channels: 1 where every image is greyscale, else 3.
        raw: whether records hold pixels and their shape instead of JPEG or PNG files.
        weighted: whether records hold a weight.
        splits: the splits with their shards.
        shape: H, W, C of every image, None where they differ; read where `raw` holds.

    """
    features = {record_schema.IMAGE: _image((None, None, channels)), record_schema.KEY: _text()}
    if raw:
        if shape is not None:
            features[record_schema.IMAGE] = _tensor("uint8", shape, encoding="bytes")
        else:
            features[record_schema.IMAGE] = _tensor("string", ())
            features[record_schema.SHAPE] = _tensor("int64", (3,))
    if class_names:
        features[record_schema.LABEL] = _class_label(len(class_names))
    if latent_names:
        features[record_schema.LATENTS] = _tensor("float32", (len(latent_names),))
    if weighted:
        features[record_schema.WEIGHT] = _tensor("float32", ())
    files = {
        INFO_FILE: _json(_info(name, bool(class_names), splits)),
        FEATURES_FILE: _json(
            {
                "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
                "featuresDict": {"features": features},
            }
        ),
    }
    if class_names and all(
        name.strip() == name and name.splitlines() == [name] for name in class_names
    ):
        files[CLASSES_FILE] = "".join(f"{name}\n" for name in class_names)
    return files


def _info(name: str, labelled: bool, splits: Mapping[str, SplitRecord]) -> dict[str, Any]:
    info: dict[str, Any] = {
        "name": name,
        "version": "1.0.0",
        "fileFormat": "tfrecord",
        "disableShuffling": True,
        "splits": [
            {
                "name": split,
                "filepathTemplate": _SHARD_NAMES,
                # 64-bit numbers are text in the JSON of protocol buffers.
                "numBytes": str(sum(shard.bytes for shard in record.shards)),
                "shardLengths": [str(shard.images) for shard in record.shards],
            }
            for split, record in splits.items()
        ],
    }
    if labelled:
        # What `as_supervised` gives.
        info["supervisedKeys"] = {
            "tuple": {
                "items": [{"featureKey": record_schema.IMAGE}, {"featureKey": record_schema.LABEL}]
            }
        }
    return info


def _image(shape: Sequence[int | None]) -> dict[str, Any]:
    return _feature("image_feature.Image", "image", {"dtype": "uint8", "shape": _shape(shape)})


def _text() -> dict[str, Any]:
    return _feature("text_feature.Text", "text", {})


def _class_label(classes: int) -> dict[str, Any]:
    return _feature("class_label_feature.ClassLabel", "classLabel", {"numClasses": str(classes)})


def _tensor(dtype: str, shape: Sequence[int], encoding: str = "none") -> dict[str, Any]:
    content = {"dtype": dtype, "shape": _shape(shape), "encoding": encoding}
    return _feature("tensor_feature.Tensor", "tensor", content)


def _feature(class_name: str, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"pythonClassName": f"{_FEATURES}.{class_name}", kind: content}


def _shape(shape: Sequence[int | None]) -> dict[str, Any]:
    if not shape:
        return {}
    return {"dimensions": [str(-1 if size is None else size) for size in shape]}


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True) + "\n"
