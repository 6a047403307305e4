"""Small real datasets: image files, archives, tables, records and one prepared folder."""

import csv
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from twofold.components.data.sources import build_source
from twofold.components.data.sources.source import Source
from twofold.components.data.store.tf_example import Example, frame
from twofold.components.pages.dataset_page import render_report


def encoded(seed, size=(8, 8), mode="RGB", file_format="JPEG", **options):
    """The bytes of an image file of random pixels."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, file_format, **options)
    return file.getvalue()


@pytest.fixture(scope="session")
def image_bytes():
    return encoded


@pytest.fixture(scope="session")
def class_files():
    """Key -> bytes of 60 JPEGs and PNGs in three class folders."""
    files = {}
    for i, name in enumerate(("cat", "dog", "frog")):
        for j in range(20):
            kind = ("JPEG", "jpg") if j % 2 else ("PNG", "png")
            files[f"{name}/{j:03d}.{kind[1]}"] = encoded(100 * i + j, file_format=kind[0])
    return files


def write_tree(root, files):
    for key, content in files.items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@pytest.fixture(scope="session")
def write_files():
    return write_tree


@pytest.fixture(scope="session")
def containers(tmp_path_factory, class_files):
    """The same files as a directory and as each kind of archive."""
    root = tmp_path_factory.mktemp("containers")
    paths = {"directory": write_tree(root / "images", class_files)}
    paths["zip"] = root / "images.zip"
    with zipfile.ZipFile(paths["zip"], "w") as archive:
        for key, content in class_files.items():
            archive.writestr(key, content)
    modes: dict[str, Literal["w", "w:gz", "w:xz"]]
    modes = {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz"}
    for kind, mode in modes.items():
        paths[kind] = root / f"images.{kind}"
        with tarfile.open(paths[kind], mode) as archive:
            for key, content in class_files.items():
                member = tarfile.TarInfo(f"./{key}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return paths


@pytest.fixture(scope="session")
def npz_path(tmp_path_factory):
    """300 grey images with labels and two latents."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("npz") / "points.npz"
    np.savez(
        path,
        imgs=rng.integers(0, 256, (300, 6, 5), dtype=np.uint8),
        labels=rng.integers(0, 4, 300),
        latents=rng.normal(size=(300, 2)),
    )
    return path


def store_dataset(root, splits, features, name="small", **options):
    """Stores splits, each a list of examples, as a TFDS dataset; gives the version's folder."""
    options = {"num_shards": 1, **options}
    builder = tfds.dataset_builders.store_as_tfds_dataset(
        name,
        "1.0.0",
        tfds.features.FeaturesDict(features),
        {split: list(enumerate(examples)) for split, examples in splits.items()},
        data_dir=str(root),
        download_config=tfds.download.DownloadConfig(num_shards=options.pop("num_shards")),
        disable_shuffling=True,
        **options,
    )
    return Path(builder.data_dir)


@pytest.fixture(scope="session")
def store_tfds():
    return store_dataset


@pytest.fixture(scope="session")
def tfds_roots(tmp_path_factory, class_files):
    """Each file format -> a folder with the TFDS dataset `small`: the class files, some unlabelled.

    Of the 60 files the last 10 are unlabelled, and every second of the others is for testing.
    """
    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(names=["cat", "dog", "frog"]),
    }
    examples = [
        {"image": content, "label": key.split("/")[0]} for key, content in class_files.items()
    ]
    unlabelled = [{**example, "label": -1} for example in examples[50:]]
    splits = {"train": examples[0:50:2], "test": examples[1:50:2], "unlabelled": unlabelled}
    roots = {}
    for file_format in ("tfrecord", "array_record"):
        roots[file_format] = tmp_path_factory.mktemp(file_format)
        store_dataset(roots[file_format], splits, features, num_shards=3, file_format=file_format)
    return roots


def copy_to_bucket(path, bucket):
    """Copies a file or folder below a name of fsspec's file system in memory; gives its path."""
    system = fsspec.filesystem("memory")
    target = f"/{bucket}/{path.name}"
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            name = f"{target}/{file.relative_to(path).as_posix()}" if file != path else target
            system.pipe_file(name, file.read_bytes())
    return f"memory:/{target}"


@pytest.fixture(scope="session")
def to_bucket():
    return copy_to_bucket


@pytest.fixture(scope="session")
def listings(tmp_path_factory, class_files):
    """Each format -> a table of the class files with labels, splits, groups and weights."""
    root = tmp_path_factory.mktemp("listings")
    rows = []
    for i, key in enumerate(class_files):
        group = f"camera {i % 7}" if i % 3 else ""
        label, split = key.split("/")[0], ("train", "", "val")[i % 3]
        row = {"path": key, "label": label, "split": split, "group": group, "weight": 0.5 + i}
        rows.append(row)
    paths = {"csv": root / "images.csv", "parquet": root / "images.parquet"}
    with paths["csv"].open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    pq.write_table(pa.table(columns), paths["parquet"])
    return paths


def write_examples(path, examples):
    """Writes dictionaries of bytes, texts, whole numbers and fractions as a TFRecord file."""
    framed = []
    for values in examples:
        example = Example()
        for name, value in values.items():
            field = example.features.feature[name]
            if isinstance(value, int):
                field.int64_list.value.append(value)
            elif isinstance(value, float):
                field.float_list.value.append(value)
            else:
                encoded = value if isinstance(value, bytes) else value.encode()
                field.bytes_list.value.append(encoded)
        framed.append(frame(example.SerializeToString()))
    content = b"".join(framed)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture(scope="session")
def write_records():
    return write_examples


@pytest.fixture(scope="session")
def record_files(tmp_path_factory, class_files):
    """Each form -> the pattern of three TFRecord files of the class files: train, val, others."""
    patterns = {}
    for form in ("tfrecord", "tfrecord.gz"):
        root = tmp_path_factory.mktemp("records")
        for i, name in enumerate(("train-0", "val-0", "others")):
            examples = [
                {"image/encoded": content, "label": key.split("/")[0], "name": key}
                for key, content in list(class_files.items())[i::3]
            ]
            write_examples(root / f"{name}.{form}", examples)
        patterns[form] = root / "*"
    return patterns


@pytest.fixture(scope="session")
def npy_path(tmp_path_factory):
    """300 colour images as one array."""
    path = tmp_path_factory.mktemp("npy") / "points.npy"
    np.save(path, np.random.default_rng(1).integers(0, 256, (300, 6, 5, 3), dtype=np.uint8))
    return path


@pytest.fixture(scope="session")
def sources(containers, listings, record_files, npz_path, npy_path, tfds_roots):
    """Name -> a function that builds the same source anew."""
    made: dict[str, Callable[[], Source]] = {
        f"folder-{kind}": partial(build_source, "folder", path=path)
        for kind, path in containers.items()
    }
    made["folder-several"] = partial(
        build_source,
        "folder",
        path=[containers["directory"] / "cat", containers["zip"]],
        group_pattern=r"^[a-z]+/(\d)",
    )
    for kind, path in listings.items():
        made[f"listing-{kind}"] = partial(
            build_source, "listing", path=path, root=containers["directory"]
        )
    for form, pattern in record_files.items():
        made[form] = partial(build_source, "tfrecord", path=pattern)
    made["tfrecord-keyed"] = partial(
        build_source,
        "tfrecord",
        path=record_files["tfrecord"],
        key_field="name",
        group_field="label",
    )
    made["npz"] = partial(build_source, "npz", path=npz_path)
    made["npy"] = partial(build_source, "npz", path=npy_path)
    for kind, root in tfds_roots.items():
        made[f"tfds-{kind}"] = partial(build_source, "tfds", tfds_name="small", tfds_dir=root)
    made["dsprites"] = partial(build_source, "dsprites", images=300)
    return made


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A folder with 500 prepared dSprites, some of them held out, in several shards."""
    # Imported here, so that what does not need it is tested without Beam.
    from twofold.components.data.preparation.prepare_dataset import prepare
    from twofold.components.data.rules.prepare_settings import PrepareSettings

    directory = tmp_path_factory.mktemp("prepared") / "dsprites"
    source = build_source("dsprites", images=500)
    prepare(
        source,
        directory,
        name="small",
        settings=PrepareSettings(images_per_shard=150),
        render_page=render_report,
    )
    return directory


@pytest.fixture(scope="session")
def digests():
    """A function from a folder to the sha256 of each file in it."""
    return lambda directory: {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
    }
