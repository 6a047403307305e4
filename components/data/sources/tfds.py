"""TensorFlow Datasets source: images of a dataset that it has prepared on disk."""

from __future__ import annotations

import bisect
import hashlib
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from twofold.components.data.sources.access.file_listing import file_stamp
from twofold.components.data.sources.access.once_per_process import Shared
from twofold.components.data.sources.access.record_offsets import (
    DamagedRecordError,
    Records,
    TfrecordFiles,
)
from twofold.components.data.sources.label_names import (
    SPLIT_NAMES,
    describe_classes,
    describe_split,
    split_named,
)
from twofold.components.data.sources.source import (
    SOURCES,
    Item,
    PathText,
    Select,
    SourceInfo,
    SourceSettings,
    position_range,
    positions,
    select_all,
)
from twofold.components.data.sources.tfds_finder import find_dataset
from twofold.components.errors import DataError
from twofold.components.settings import Texts, local_only

_HELD_OUT = ("validation", "test")
# The starts of JPEG and PNG files, which are handed on as they are.
_KEPT = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_DECODED_FORMATS = ("BMP", "GIF", "TIFF", "WEBP")
_UNREADABLE = (
    DamagedRecordError,
    OSError,
    ValueError,
    SyntaxError,
    Image.DecompressionBombError,
    # What array_record raises of a damaged block.
    RuntimeError,
)


@SOURCES.register
class TfdsSettings(SourceSettings):
    """Settings of data sets that TensorFlow Datasets has prepared."""

    name: Literal["tfds"] = "tfds"
    reads_files: ClassVar[bool] = False
    tfds_name: Annotated[PathText, local_only("data.tfds_name")] = Field(
        description="cifar10, name/config:1.0.0, or the folder of a prepared data set"
    )
    tfds_dir: Annotated[PathText, local_only("data.tfds_dir")] | None = Field(
        None, description="folder that data sets are prepared in; null: TensorFlow Datasets' own"
    )
    tfds_splits: Texts = Field((), description="which of its splits to read; empty: all")
    image_field: str | None = Field(None, description="feature of images; null: the only one")
    label_field: str | None = Field(None, description="class label; null: the only one, if any")
    tfds_download: bool = Field(False, description="download and prepare what is not there")
    tfds_manual_dir: Annotated[PathText, local_only("data.tfds_manual_dir")] | None = Field(
        None, description="folder of archives that you fetched, to prepare from; null: none"
    )

    def build(self) -> TfdsSource:
        """Builds the source."""
        return TfdsSource(**self.arguments())


@dataclass(frozen=True)
class _Files:
    """Of each file of a split: where its records begin (and last, how many), and its stamp."""

    bounds: tuple[int, ...]
    stamps: tuple[str, ...]

    def content_id(self, position: int) -> str:
        """What the record at this position of the split is known by: its file's stamp."""
        return self.stamps[bisect.bisect_right(self.bounds, position) - 1]


@dataclass(frozen=True)
class _Dataset:
    """What the dataset's folder says, and its records split after split.

    Of each of `splits`: the split that its images are in, where its records begin among all (and
    last, how many there are), its records, its files.
    """

    splits: tuple[str, ...]
    target_splits: tuple[str | None, ...]
    bounds: tuple[int, ...]
    records: tuple[Records, ...]
    files: tuple[_Files, ...]
    features: Any
    image: str
    label: str | None
    class_names: tuple[str, ...]
    fingerprint: str


_DATASETS: Shared[_Dataset] = Shared()


class TfdsSource:
    """Images, and where there are any labels, of a prepared tensorflow-datasets dataset.

    JPEG and PNG files are handed on as they are stored; of BMP, GIF, TIFF and WebP files, and of
    uint8 tensors, the pixels are (of an animation the first frame). Keys are `<TFDS split>/<number
    in the split, eight digits>`. What its splits mean is in `label_names.SPLIT_NAMES`, in
    capitals or not; images of the unlabelled ones have the label -1. Where
    neither validation nor test is read, train has all there is, so that it is no split of its own.

    tensorflow-datasets is imported when a source is made or first read. The label lies in the
    record, beside the image: of an image that is not selected the record is read, and not decoded.

    Args:
        tfds_name: a dataset's name, as in `cifar10`, `name/config`, `name:1.0.0` or
            `name/config:1.0.0` (without a version the newest that is prepared), or the folder of
            one prepared version.
        tfds_dir: the folder that datasets are prepared in; None takes TFDS's own default, which is
            ~/tensorflow_datasets or the environment's TFDS_DATA_DIR.
        tfds_splits: the TFDS splits to read; empty reads all.
        image_field: the images' feature; None takes the only one that can be it.
        label_field: the class label's feature; None takes the only one that can be it, or
            images without labels where there is none. Of several, the dataset's supervised keys
            decide.
        tfds_download: whether to download and prepare a dataset that is not prepared.
        tfds_manual_dir: a folder with the archives that the dataset is made from, from which to
            prepare one that is not prepared; without `tfds_download` nothing else is fetched.

    Raises:
        DataError: the dataset is not prepared and cannot be, or is damaged, or has no such splits
            or features.

    """

    def __init__(
        self,
        tfds_name: str,
        *,
        tfds_dir: str | Path | None,
        tfds_splits: Sequence[str],
        image_field: str | None,
        label_field: str | None,
        tfds_download: bool,
        tfds_manual_dir: str | Path | None,
    ):
        self._directory = find_dataset(tfds_name, tfds_dir, tfds_download, tfds_manual_dir)
        self._splits = tuple(tfds_splits)
        self._features = (image_field, label_field)
        dataset = self._open()
        self._fingerprint = dataset.fingerprint
        self._held: _Dataset | None = _DATASETS.get(self._key(), lambda: dataset)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def info(self) -> SourceInfo:
        """Classes, count, and a fingerprint of the files' names, sizes and times."""
        dataset = self._dataset()
        return SourceInfo(
            kind="tfds",
            class_names=dataset.class_names,
            latent_names=(),
            fingerprint=dataset.fingerprint,
            items=dataset.bounds[-1],
            taken_as=(
                *describe_classes(dataset.class_names),
                *(
                    describe_split(f"split {name}", split_named(name))
                    for name in dataset.splits
                    if split_named(name) != name
                ),
            ),
        )

    def tasks(self, items: int) -> Iterator[bytes]:
        """Positions in all splits, one split after the other; a task lies in one of them."""
        for start, stop in itertools.pairwise(self._dataset().bounds):
            yield from positions(start, stop, items)

    def read(self, task: bytes, selected: Select = select_all) -> Iterator[Item]:
        """The images at a task's positions."""
        dataset = self._dataset()
        for position in position_range(task):
            number = bisect.bisect_right(dataset.bounds, position) - 1
            yield _read(dataset, number, position - dataset.bounds[number], selected)

    def _key(self) -> tuple[Path, str]:
        return self._directory, self._fingerprint

    def _dataset(self) -> _Dataset:
        if self._held is None:
            self._held = _DATASETS.get(self._key(), self._open_again)
        return self._held

    def _open(self) -> _Dataset:
        return _open(self._directory, self._splits, *self._features)

    def _open_again(self) -> _Dataset:
        dataset = self._open()
        if dataset.fingerprint != self._fingerprint:
            raise DataError(f"{self._directory}: files changed while they were being prepared")
        return dataset


def _read(dataset: _Dataset, number: int, position: int, selected: Select) -> Item:
    import tensorflow_datasets as tfds

    key = f"{dataset.splits[number]}/{position:08d}"
    content_id = f"{dataset.files[number].content_id(position)} {dataset.image}"
    image: bytes | np.ndarray = b""
    label, problem = -1, None
    try:
        example = dataset.features.deserialize_example_np(
            dataset.records[number][position], decoders={dataset.image: tfds.decode.SkipDecoding()}
        )
        label = -1 if dataset.label is None else int(example[dataset.label])
        if selected(key, content_id):
            channels = dataset.features[dataset.image].shape[-1]
            image = _uint8_or_kept(example[dataset.image], channels)
    except DataError:
        raise
    except _UNREADABLE as error:
        problem = str(error) or type(error).__name__
    return Item(
        key=key,
        image=image,
        label=-1 if dataset.target_splits[number] == "unlabelled" else label,
        split=dataset.target_splits[number],
        content_id=content_id,
        problem=problem,
    )


def _uint8_or_kept(image: bytes | np.ndarray, channels: int | None) -> bytes | np.ndarray:
    if not isinstance(image, bytes) or not image or image.startswith(_KEPT):
        return image
    with Image.open(io.BytesIO(image), formats=_DECODED_FORMATS) as picture:
        pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _open(
    directory: Path, selected: Sequence[str], image_feature: str | None, label_feature: str | None
) -> _Dataset:
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(str(directory))
    # Damage to one of its files is reported by as many types as there are parsers.
    except Exception as error:
        raise DataError(f"{directory}: no readable TFDS dataset ({error})") from error
    info = builder.info
    splits = _choose_splits(info, selected)
    image = _choose_feature(info, "image", image_feature)
    if image is None:
        raise DataError(f"tfds {info.full_name}: no image feature; features: {_described(info)}")
    label = _choose_feature(info, "label", label_feature)
    names = [image] if label is None else [image, label]
    target_splits: list[str | None] = [split_named(split) for split in splits]
    if not set(target_splits) & set(_HELD_OUT):
        target_splits = [None if position == "train" else position for position in target_splits]
    records = tuple(_records(builder, split) for split in splits)
    class_names = () if label is None else tuple(info.features[label].names)
    files = tuple(_files(info.splits[split]) for split in splits)
    stamps = [each.stamps for each in files]
    content_id = (info.full_name, splits, stamps, image, label, class_names)
    return _Dataset(
        splits=splits,
        target_splits=tuple(target_splits),
        bounds=tuple(itertools.accumulate(map(len, records), initial=0)),
        records=records,
        files=files,
        # Only these are parsed, whatever else an example holds.
        features=tfds.features.FeaturesDict({name: info.features[name] for name in names}),
        image=image,
        label=label,
        class_names=class_names,
        fingerprint=hashlib.sha256(repr(("tfds", *content_id)).encode()).hexdigest(),
    )


def _choose_splits(info: Any, selected: Sequence[str]) -> tuple[str, ...]:
    present = sorted(info.splits)
    unknown = sorted(set(selected) - set(present))
    if unknown:
        raise DataError(
            f"tfds {info.full_name}: no split {', '.join(map(repr, unknown))}; "
            f"its splits: {', '.join(present)}"
        )
    chosen = tuple(split for split in present if split in (selected or present))
    foreign = [split for split in chosen if split_named(split) is None]
    if foreign:
        raise DataError(
            f"tfds {info.full_name}: what split {', '.join(map(repr, foreign))} is for is not "
            f"known, expected {', '.join(SPLIT_NAMES)}; name the splits to read (tfds_splits), "
            f"of {', '.join(present)}"
        )
    if not sum(info.splits[split].num_examples for split in chosen):
        raise DataError(f"tfds {info.full_name}: no examples in split {', '.join(chosen)}")
    return chosen


def _choose_feature(info: Any, kind: str, named: str | None) -> str | None:
    """The requested feature, or the one found; None where there is none of the kind."""
    import tensorflow_datasets as tfds

    features = info.features
    fits = _is_image if kind == "image" else _is_label
    if not isinstance(features, tfds.features.FeaturesDict):
        raise DataError(f"tfds {info.full_name}: expected named features, found {features}")
    candidates = sorted(name for name, feature in features.items() if fits(feature))
    if named is not None:
        if named not in candidates:
            raise DataError(
                f"tfds {info.full_name}: {kind}_field: expected one of "
                f"{', '.join(candidates) or '(it has none)'}, received {named!r}; "
                f"features: {_described(info)}"
            )
        return named
    if len(candidates) > 1:
        keys = info.supervised_keys or ()
        candidates = [name for name in candidates if name in keys] or candidates
    if len(candidates) > 1:
        raise DataError(
            f"tfds {info.full_name}: {kind}_field: several could be it; name one of "
            f"{', '.join(candidates)}"
        )
    return candidates[0] if candidates else None


def _is_image(feature: Any) -> bool:
    import tensorflow_datasets as tfds

    # A LabeledImage's pixels are classes.
    kind = isinstance(feature, tfds.features.Image) or type(feature) is tfds.features.Tensor
    mask = isinstance(feature, tfds.features.LabeledImage)
    return kind and not mask and len(feature.shape) == 3 and feature.np_dtype == np.uint8


def _is_label(feature: Any) -> bool:
    import tensorflow_datasets as tfds

    return isinstance(feature, tfds.features.ClassLabel) and feature.num_classes is not None


def _described(info: Any) -> str:
    # They are read from a map without an order.
    features = sorted(info.features.items())
    return ", ".join(f"{name} ({type(each).__name__})" for name, each in features)


def _records(builder: Any, split: str) -> Records:
    import tensorflow_datasets as tfds

    file_format = builder.info.file_format.value
    if file_format == "array_record":
        method = tfds.decode.DeserializeMethod.RAW_BYTES
        source: Records = builder.as_data_source(split=split, deserialize_method=method)
        return source
    if file_format != "tfrecord":
        raise DataError(
            f"tfds {builder.info.full_name}: expected files in the format tfrecord or "
            f"array_record, found {file_format}"
        )
    described = builder.info.splits[split]
    return TfrecordFiles([Path(path) for path in described.filepaths], described.shard_lengths)


def _files(split: Any) -> _Files:
    """The files of a split of the dataset's description."""
    for path in split.filepaths:
        if not Path(path).is_file():
            raise DataError(f"{path}: missing, though dataset_info.json names it")
    return _Files(
        bounds=tuple(itertools.accumulate(split.shard_lengths, initial=0)),
        stamps=tuple(f"{Path(path).name} {file_stamp(str(path))}" for path in split.filepaths),
    )
