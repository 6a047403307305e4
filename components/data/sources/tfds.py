"""Images of a dataset that tensorflow-datasets has prepared on disk."""

from __future__ import annotations

import bisect
import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.data.errors import DataError
from components.data.sources.base import Chunk, Item, SourceInfo, chunk_range
from components.data.sources.layout import SPLIT_FOLDERS
from components.data.sources.process import Shared
from components.data.sources.records import DamagedRecordError, Records, TfrecordFiles

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


@dataclass(frozen=True)
class _Dataset:
    """What the dataset's folder says, and its records split after split."""

    splits: tuple[str, ...]
    places: tuple[str | None, ...]
    bounds: tuple[int, ...]
    records: tuple[Records, ...]
    features: Any
    image: str
    label: str | None
    class_names: tuple[str, ...]
    fingerprint: str


_DATASETS: Shared[_Dataset] = Shared()


class TfdsSource:
    """Images, and where there are any labels, of a prepared tensorflow-datasets dataset.

    JPEG and PNG files are handed on as they are stored; of BMP, GIF, TIFF and WebP files, and of
    uint8 tensors, the pixels are (of an animation the first frame). Keys are `<TFDS split>/<place
    in the split, eight digits>`. The TFDS splits train, val, validation, test, unlabelled and
    unlabeled are the splits of those names; images of the unlabelled ones have the label -1. Where
    neither validation nor test is read, train has all there is, so that it is no split of its own.

    tensorflow-datasets is imported when a source is made or first read.

    Args:
        name: a dataset's name, as in `cifar10`, `name/config`, `name:1.0.0` or `name/config:1.0.0`
            (without a version the newest that is prepared), or the folder of one prepared version.
        data_dir: the folder that datasets are prepared in; None takes TFDS's own default, which is
            ~/tensorflow_datasets or the environment's TFDS_DATA_DIR.
        splits: the TFDS splits to read; empty reads all.
        image_feature: the images' feature; None takes the only one that can be it.
        label_feature: the class label's feature; None takes the only one that can be it, or
            images without labels where there is none. Of several, the dataset's supervised keys
            decide.
        download: whether to download and prepare a dataset that is not prepared.

    Raises:
        DataError: the dataset is not prepared, or damaged, or has no such splits or features.

    """

    def __init__(
        self,
        name: str,
        data_dir: str | Path | None = None,
        splits: Sequence[str] = (),
        image_feature: str | None = None,
        label_feature: str | None = None,
        download: bool = False,
    ):
        self._directory = _find(name, data_dir, download)
        self._splits = tuple(splits)
        self._features = (image_feature, label_feature)
        dataset = self._open()
        self._fingerprint = dataset.fingerprint
        self._held: _Dataset | None = _DATASETS.get(self._key(), lambda: dataset)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def info(self) -> SourceInfo:
        """Classes, counts by split, and a fingerprint of the files' names, sizes and times."""
        dataset = self._dataset()
        counts: Counter[str] = Counter()
        for place, records in zip(dataset.places, dataset.records, strict=True):
            if place is not None:
                counts[place] += len(records)
        return SourceInfo(
            kind="tfds",
            class_names=dataset.class_names,
            latent_names=(),
            fingerprint=dataset.fingerprint,
            split_counts=tuple(sorted(counts.items())),
        )

    def chunks(self) -> list[Chunk]:
        """Consecutive chunks of each split."""
        bounds = self._dataset().bounds
        return [c for start, stop in itertools.pairwise(bounds) for c in chunk_range(start, stop)]

    def read(self, chunk: Chunk) -> Iterator[Item]:
        """The images of a chunk."""
        return self.pick(range(chunk.start, chunk.stop))

    def pick(self, positions: Sequence[int]) -> Iterator[Item]:
        """The images at these positions, splits one after the other."""
        dataset = self._dataset()
        for position in positions:
            number = bisect.bisect_right(dataset.bounds, position) - 1
            yield _read(dataset, number, position - dataset.bounds[number])

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


def _read(dataset: _Dataset, number: int, place: int) -> Item:
    import tensorflow_datasets as tfds

    image: bytes | np.ndarray = b""
    label, problem = -1, None
    try:
        example = dataset.features.deserialize_example_np(
            dataset.records[number][place], decoders={dataset.image: tfds.decode.SkipDecoding()}
        )
        label = -1 if dataset.label is None else int(example[dataset.label])
        image = _uint8_or_kept(example[dataset.image], dataset.features[dataset.image].shape[-1])
    except DataError:
        raise
    except _UNREADABLE as error:
        problem = str(error) or type(error).__name__
    return Item(
        key=f"{dataset.splits[number]}/{place:08d}",
        image=image,
        label=-1 if dataset.places[number] == "unlabelled" else label,
        split=dataset.places[number],
        problem=problem,
    )


def _uint8_or_kept(image: bytes | np.ndarray, channels: int | None) -> bytes | np.ndarray:
    if not isinstance(image, bytes) or not image or image.startswith(_KEPT):
        return image
    with Image.open(io.BytesIO(image), formats=_DECODED_FORMATS) as picture:
        pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _find(name: str, data_dir: str | Path | None, download: bool) -> Path:
    """The folder of the prepared version."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.constants import DATA_DIR
    from tensorflow_datasets.core.read_only_builder import builder_from_files
    from tensorflow_datasets.core.registered import DatasetNotFoundError

    folder = Path(name).expanduser().absolute()
    if (folder / "dataset_info.json").is_file():
        return folder
    root = Path(DATA_DIR if data_dir is None else data_dir).expanduser().absolute()
    try:
        # Unlike `tfds.builder`, this finds what is on disk whichever version TFDS's code is at.
        return Path(builder_from_files(name, data_dir=str(root)).data_dir)
    except (DatasetNotFoundError, FileNotFoundError):
        pass
    except ValueError as error:
        raise DataError(f"tfds: {name!r} is no dataset's name: {error}") from error
    if not download:
        prepare = f'tfds.builder("{name}", data_dir="{root}").download_and_prepare()'
        raise DataError(
            f"tfds: {name!r} is not prepared in {root} (prepared there: {_prepared(root)}); "
            f"prepare it with: python -c 'import tensorflow_datasets as tfds; {prepare}'"
        )
    try:
        builder = tfds.builder(name, data_dir=str(root))
        builder.download_and_prepare()
    # A dataset's own code runs here and the network is reached, so anything may be raised.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"tfds: {name!r} could not be downloaded to {root}: {reason}") from error
    return Path(builder.data_dir)


def _prepared(root: Path) -> str:
    """The names of the datasets in a folder, with or without a configuration's folder."""
    found = {
        path.parent.relative_to(root)
        for pattern in ("*/*/features.json", "*/*/*/features.json")
        for path in root.glob(pattern)
    }
    names = [f"{path.parent.as_posix()}:{path.name}" for path in sorted(found)]
    return ", ".join(names) or "none"


def _open(
    directory: Path, wanted: Sequence[str], image_feature: str | None, label_feature: str | None
) -> _Dataset:
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(str(directory))
    # Damage to one of its files is reported by as many types as there are parsers.
    except Exception as error:
        raise DataError(f"{directory}: no readable TFDS dataset ({error})") from error
    info = builder.info
    splits = _choose_splits(info, wanted)
    image = _choose_feature(info, "image", image_feature)
    if image is None:
        raise DataError(f"tfds {info.full_name}: no image feature; features: {_described(info)}")
    label = _choose_feature(info, "label", label_feature)
    names = [image] if label is None else [image, label]
    places: list[str | None] = [SPLIT_FOLDERS[split] for split in splits]
    if not set(places) & set(_HELD_OUT):
        places = [None if place == "train" else place for place in places]
    records = tuple(_records(builder, split) for split in splits)
    class_names = () if label is None else tuple(info.features[label].names)
    identity = (info.full_name, _files(info, splits), image, label, class_names)
    return _Dataset(
        splits=splits,
        places=tuple(places),
        bounds=tuple(itertools.accumulate(map(len, records), initial=0)),
        records=records,
        # Only these are parsed, whatever else an example holds.
        features=tfds.features.FeaturesDict({name: info.features[name] for name in names}),
        image=image,
        label=label,
        class_names=class_names,
        fingerprint=hashlib.sha256(repr(("tfds", *identity)).encode()).hexdigest(),
    )


def _choose_splits(info: Any, wanted: Sequence[str]) -> tuple[str, ...]:
    present = sorted(info.splits)
    unknown = sorted(set(wanted) - set(present))
    if unknown:
        raise DataError(
            f"tfds {info.full_name}: no split {', '.join(map(repr, unknown))}; "
            f"its splits: {', '.join(present)}"
        )
    chosen = tuple(split for split in present if split in (wanted or present))
    foreign = [split for split in chosen if split not in SPLIT_FOLDERS]
    if foreign:
        raise DataError(
            f"tfds {info.full_name}: what split {', '.join(map(repr, foreign))} is for is not "
            f"known, expected {', '.join(SPLIT_FOLDERS)}; name the splits to read, "
            f"of {', '.join(present)}"
        )
    if not sum(info.splits[split].num_examples for split in chosen):
        raise DataError(f"tfds {info.full_name}: no examples in split {', '.join(chosen)}")
    return chosen


def _choose_feature(info: Any, kind: str, named: str | None) -> str | None:
    """The feature asked for or found; None where there is none of the kind."""
    import tensorflow_datasets as tfds

    features = info.features
    fits = _is_image if kind == "image" else _is_label
    if not isinstance(features, tfds.features.FeaturesDict):
        raise DataError(f"tfds {info.full_name}: expected named features, found {features}")
    candidates = sorted(name for name, feature in features.items() if fits(feature))
    if named is not None:
        if named not in candidates:
            raise DataError(
                f"tfds {info.full_name}: {kind}_feature: expected one of "
                f"{', '.join(candidates) or '(it has none)'}, received {named!r}; "
                f"features: {_described(info)}"
            )
        return named
    if len(candidates) > 1:
        keys = info.supervised_keys or ()
        candidates = [name for name in candidates if name in keys] or candidates
    if len(candidates) > 1:
        raise DataError(
            f"tfds {info.full_name}: {kind}_feature: several could be it; name one of "
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


def _files(info: Any, splits: Sequence[str]) -> list[tuple[str, int, int]]:
    """Name, size and time of every file of the splits."""
    files = []
    for split in splits:
        for path in map(Path, info.splits[split].filepaths):
            if not path.is_file():
                raise DataError(f"{path}: missing, though dataset_info.json names it")
            found = path.stat()
            files.append((path.name, found.st_size, found.st_mtime_ns))
    return files
