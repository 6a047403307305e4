import io
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from twofold.components.data.sources import build_source
from twofold.components.errors import DataError, UsageError

# TFDS's own, when it reads a dataset's description.
pytestmark = pytest.mark.filterwarnings("ignore:label:DeprecationWarning")

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
IMAGE = tfds.features.Image(shape=(None, None, 3))
LABEL = tfds.features.ClassLabel(names=["cat", "dog"])


def read_all(source):
    return [item for task in source.tasks(20) for item in source.read(task)]


def file_of(pixels, file_format):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, file_format)
    return file.getvalue()


@pytest.fixture
def root(tfds_roots):
    return tfds_roots["tfrecord"]


def test_files_are_handed_on_as_they_are(root, class_files):
    items = {
        item.key: item for item in read_all(build_source("tfds", tfds_name="small", tfds_dir=root))
    }
    names = ("cat", "dog", "frog")
    for i, (key, content) in enumerate(class_files.items()):
        split, position = ("unlabelled", i - 50) if i >= 50 else (("train", "test")[i % 2], i // 2)
        item = items[f"{split}/{position:08d}"]
        assert item.image == content
        assert item.split == split
        assert item.label == (-1 if split == "unlabelled" else names.index(key.split("/")[0]))
    assert len(items) == 60


def test_info_names_and_counts(root):
    info = build_source("tfds", tfds_name="small", tfds_dir=root).info()
    assert info.class_names == ("cat", "dog", "frog")
    assert info.items == 60


@pytest.mark.parametrize("name", ["small:1.0.0", "small:1.*.*", "the folder"])
def test_a_dataset_can_be_named_by_version_or_folder(root, name):
    name = str(root / "small" / "1.0.0") if name == "the folder" else name
    same = build_source("tfds", tfds_name="small", tfds_dir=root)
    assert build_source("tfds", tfds_name=name, tfds_dir=root).info() == same.info()


def test_a_configuration_is_found(tmp_path, store_tfds):
    store_tfds(tmp_path, {"train": [{"image": PIXELS}]}, {"image": IMAGE}, config="tiny")
    info = build_source("tfds", tfds_name="small/tiny:1.0.0", tfds_dir=tmp_path).info()
    assert info.class_names == ()


def test_splits_can_be_chosen(root):
    chosen = build_source(
        "tfds", tfds_name="small", tfds_dir=root, tfds_splits=("unlabelled", "test")
    )
    everything = build_source("tfds", tfds_name="small", tfds_dir=root)
    kept = [item for item in read_all(everything) if not item.key.startswith("train")]
    assert [item.key for item in read_all(chosen)] == [item.key for item in kept]
    assert chosen.info().fingerprint != everything.info().fingerprint


def test_without_a_held_out_split_train_is_no_split_of_its_own(root):
    source = build_source(
        "tfds", tfds_name="small", tfds_dir=root, tfds_splits=("train", "unlabelled")
    )
    found = Counter((item.key.split("/")[0], item.split) for item in read_all(source))
    assert found == {("train", None): 25, ("unlabelled", "unlabelled"): 10}


def test_splits_of_other_names_are_known_and_told(tmp_path, store_tfds):
    examples = [{"image": PIXELS}]
    splits = {"Train": examples, "valid": examples, "unsupervised": examples}
    store_tfds(tmp_path, splits, {"image": IMAGE})
    source = build_source("tfds", tfds_name="small", tfds_dir=tmp_path)
    assert [item.split for item in read_all(source)] == ["train", "unlabelled", "validation"]
    assert source.info().taken_as == (
        "taken as the train split: split Train",
        "taken as images without a label: split unsupervised",
        "taken as the validation split: split valid",
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["image", "tensor", "BMP", "GIF"])
def test_pixels_are_what_was_stored(tmp_path, store_tfds, channels, kind):
    grey = channels == 1
    pixels = PIXELS[..., :1] if grey else np.full((4, 4, 3), [250, 0, 7], np.uint8)
    stored = pixels
    if kind not in ("image", "tensor"):
        stored = file_of(pixels[..., 0] if grey else pixels, kind)
    feature = (
        tfds.features.Tensor(shape=(4, 4, channels), dtype=np.uint8)
        if kind == "tensor"
        else tfds.features.Image(shape=(None, None, channels))
    )
    folder = store_tfds(tmp_path, {"train": [{"picture": stored}]}, {"picture": feature})
    (item,) = read_all(build_source("tfds", tfds_name=str(folder)))
    found = item.image
    if kind == "image":
        assert found.startswith(b"\x89PNG")
        found = np.asarray(Image.open(io.BytesIO(found))).reshape(4, 4, channels)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pixels)
    assert item.label == -1


def test_the_image_and_label_among_several_are_named(tmp_path, store_tfds):
    features = {
        "front": IMAGE,
        "back": IMAGE,
        "mask": tfds.features.LabeledImage(labels=2, shape=(None, None, 1)),
        "depth": tfds.features.Image(shape=(None, None, 1), dtype=np.uint16),
        "coarse": LABEL,
        "fine": tfds.features.ClassLabel(num_classes=7),
        "count": np.int64,
    }
    example = {
        "front": PIXELS,
        "back": 255 - PIXELS,
        "mask": np.zeros((4, 4, 1), np.uint8),
        "depth": np.zeros((4, 4, 1), np.uint16),
        "coarse": 1,
        "fine": 6,
        "count": 3,
    }
    name = str(store_tfds(tmp_path, {"train": [example]}, features))
    with pytest.raises(DataError, match=r"image_field: several .*name one of back, front$"):
        build_source("tfds", tfds_name=name)
    with pytest.raises(DataError, match=r"label_field: several .*name one of coarse, fine$"):
        build_source("tfds", tfds_name=name, image_field="back")
    with pytest.raises(DataError, match=r"expected one of coarse, fine, received 'count'; feat"):
        build_source("tfds", tfds_name=name, image_field="back", label_field="count")
    with pytest.raises(DataError, match=r"one of back, front, received 'depth'; .*depth \(Image\)"):
        build_source("tfds", tfds_name=name, image_field="depth")
    source = build_source("tfds", tfds_name=name, image_field="back", label_field="fine")
    (item,) = read_all(source)
    assert item.label == 6
    assert source.info().class_names == tuple("0123456")
    np.testing.assert_array_equal(Image.open(io.BytesIO(item.image)), 255 - PIXELS)


def test_a_dataset_that_is_not_prepared_says_how_to_prepare_it(root):
    with pytest.raises(DataError) as caught:
        build_source("tfds", tfds_name="absent", tfds_dir=root)
    expected = f'tfds.builder("absent", data_dir="{root}").download_and_prepare()'
    assert expected in str(caught.value)
    assert "prepared there: small:1.0.0" in str(caught.value)
    with pytest.raises(DataError, match=r"'small:2\.0\.0' is not prepared"):
        build_source("tfds", tfds_name="small:2.0.0", tfds_dir=root)
    with pytest.raises(DataError, match=r"'\?' is no dataset's name"):
        build_source("tfds", tfds_name="?", tfds_dir=root)


def test_a_download_that_fails_says_why(tmp_path):
    with pytest.raises(DataError, match=r"'absent' could not be downloaded to .*absent not found"):
        build_source("tfds", tfds_name="absent", tfds_dir=tmp_path, tfds_download=True)


def test_unknown_and_foreign_splits_are_refused(tmp_path, root, store_tfds):
    with pytest.raises(DataError, match="no split 'val'; its splits: test, train, unlabelled"):
        build_source("tfds", tfds_name="small", tfds_dir=root, tfds_splits=("train", "val"))
    splits = {"extra": [{"image": PIXELS}], "train": [{"image": PIXELS}]}
    name = str(store_tfds(tmp_path, splits, {"image": IMAGE}))
    with pytest.raises(DataError, match=r"split 'extra' is for .*of extra, train$"):
        build_source("tfds", tfds_name=name)
    assert len(read_all(build_source("tfds", tfds_name=name, tfds_splits=("train",)))) == 1


def test_a_dataset_without_images_is_refused(tmp_path, store_tfds):
    name = str(store_tfds(tmp_path, {"train": [{"label": 0}]}, {"label": LABEL}))
    with pytest.raises(DataError, match=r"no image feature; features: label \(ClassLabel\)"):
        build_source("tfds", tfds_name=name)


@pytest.fixture
def stored(tmp_path, store_tfds):
    """The folder of a dataset of one file with three images, and that file."""
    examples = [{"image": PIXELS + i} for i in range(3)]
    folder = store_tfds(tmp_path, {"train": examples}, {"image": IMAGE})
    return folder, next(folder.glob("*.tfrecord*"))


def test_a_damaged_record_is_a_problem_of_its_image_alone(stored):
    folder, path = stored
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    items = read_all(build_source("tfds", tfds_name=str(folder)))
    assert [item.problem is None for item in items] == [True, False, True]
    assert "wrong checksum" in items[1].problem


def test_a_damaged_block_of_an_array_record_is_a_problem_of_its_images(tmp_path, store_tfds):
    noise = np.random.default_rng(0).integers(0, 256, (3, 200, 200, 3), dtype=np.uint8)
    examples = [{"image": pixels} for pixels in noise]
    folder = store_tfds(tmp_path, {"test": examples}, {"image": IMAGE}, file_format="array_record")
    path = next(folder.glob("*.array_record*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    problems = [item.problem for item in read_all(build_source("tfds", tfds_name=str(folder)))]
    assert len(problems) == 3
    assert any(problems)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "ends within the record at byte"),
        (lambda content: content[: len(content) // 2], "ends within the record at byte"),
        (lambda content: content * 2, "expected 3 records, found 6"),
        (lambda content: b"\x01" + content[1:], "record at byte 0 has a damaged length"),
        (lambda content: b"", "expected 3 records, found 0"),
    ],
    ids=["cut", "halved", "doubled", "length", "empty"],
)
def test_a_damaged_file_is_named(stored, damage, message):
    folder, path = stored
    path.write_bytes(damage(path.read_bytes()))
    source = build_source("tfds", tfds_name=str(folder))
    with pytest.raises(DataError, match=rf"{path.name}: .*{message}"):
        read_all(source)


def test_missing_files_and_descriptions_are_named(stored):
    folder, path = stored
    path.rename(folder / "elsewhere")
    with pytest.raises(DataError, match=f"{path.name}: missing"):
        build_source("tfds", tfds_name=str(folder))
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match=r"1\.0\.0: no readable TFDS dataset"):
        build_source("tfds", tfds_name=str(folder))


def test_other_content_has_another_fingerprint(stored):
    folder, path = stored
    before = build_source("tfds", tfds_name=str(folder)).info().fingerprint
    path.write_bytes(path.read_bytes())
    assert build_source("tfds", tfds_name=str(folder)).info().fingerprint != before


def test_reading_imports_neither_keras_nor_tensorflow(root):
    program = f"""
import json, sys
from twofold.components.data.sources import build_source
before = "tensorflow_datasets" in sys.modules
source = build_source("tfds", tfds_name="small", tfds_dir={str(root)!r})
count = sum(1 for task in source.tasks(9) for _ in source.read(task))
print(json.dumps([before, count, "keras" in sys.modules, "tensorflow" in sys.modules]))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert json.loads(ran.stdout.splitlines()[-1]) == [False, 60, False, False]


def labelled(count, **others):
    return [{"image": PIXELS + i, "label": i % 2, **others} for i in range(count)]


def test_datasets_in_the_forms_that_are_common_are_read(tmp_path, store_tfds):
    """As stl10, cifar10, cifar10_corrupted and imagenet2012 are stored."""
    features = {"image": IMAGE, "label": LABEL}
    unlabelled = [{"image": PIXELS, "label": -1}] * 5
    splits = {"train": labelled(2), "test": labelled(3), "unlabelled": unlabelled}
    store_tfds(tmp_path, splits, features, name="like_stl10")
    splits = {
        split: [{**example, "id": f"{split}_{i}"} for i, example in enumerate(examples)]
        for split, examples in splits.items()
        if split != "unlabelled"
    }
    text = tfds.features.Text()
    store_tfds(tmp_path, splits, {**features, "id": text}, name="like_cifar10")
    for config in ("fog_3", "fog_5"):
        examples = {"test": labelled(4)}
        store_tfds(tmp_path, examples, features, name="like_corrupted", config=config)
    splits = {
        "train": labelled(2, file_name="n01440764_1.JPEG"),
        "validation": labelled(1, file_name="ILSVRC2012_val_1.JPEG"),
        "test": [{"image": PIXELS, "label": -1, "file_name": "ILSVRC2012_test_1.JPEG"}],
    }
    store_tfds(tmp_path, splits, {**features, "file_name": text}, name="like_imagenet")
    found = {}
    for name in ("like_stl10", "like_cifar10", "like_corrupted/fog_5", "like_imagenet"):
        source = build_source("tfds", tfds_name=name, tfds_dir=tmp_path)
        items = read_all(source)
        assert source.info().class_names == ("cat", "dog")
        assert source.info().items == len(items)
        assert all(item.image.startswith(b"\x89PNG") for item in items)
        found[name] = Counter((item.split, item.label) for item in items)
    assert found == {
        "like_stl10": {
            ("train", 0): 1,
            ("train", 1): 1,
            ("test", 0): 2,
            ("test", 1): 1,
            ("unlabelled", -1): 5,
        },
        "like_cifar10": {("train", 0): 1, ("train", 1): 1, ("test", 0): 2, ("test", 1): 1},
        "like_corrupted/fog_5": {("test", 0): 2, ("test", 1): 2},
        "like_imagenet": {
            ("train", 0): 1,
            ("train", 1): 1,
            ("validation", 0): 1,
            ("test", -1): 1,
        },
    }


def test_the_content_id_follows_the_file(stored):
    folder, path = stored
    os.utime(path, ns=(0, 0))
    before = [item.content_id for item in read_all(build_source("tfds", tfds_name=str(folder)))]
    again = [item.content_id for item in read_all(build_source("tfds", tfds_name=str(folder)))]
    assert before == again
    path.write_bytes(path.read_bytes())
    after = [item.content_id for item in read_all(build_source("tfds", tfds_name=str(folder)))]
    assert not set(before) & set(after)


def test_the_content_id_is_that_of_one_file_of_several(root):
    source = build_source("tfds", tfds_name="small", tfds_dir=root, tfds_splits=("train",))
    assert len({item.content_id for item in read_all(source)}) == 3


class ManualPhotos(tfds.core.GeneratorBasedBuilder):
    """Photographs from an archive that is put there by hand, and an optional download."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put photos.zip there."
    BUILDER_CONFIGS = [  # noqa: RUF012 - TFDS's own form
        tfds.core.BuilderConfig(name="plain"),
        tfds.core.BuilderConfig(name="more"),
    ]

    def _info(self):
        features = tfds.features.FeaturesDict({"image": IMAGE, "label": LABEL})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, manager):
        if self.builder_config.name == "more":
            manager.download("http://localhost:9/more.zip")
        return {"train": self._generate_examples(manager.manual_dir / "photos.zip")}

    def _generate_examples(self, path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                image = io.BytesIO(archive.read(name))
                yield name, {"image": image, "label": name.split("/")[0]}


@pytest.fixture
def archives(tmp_path):
    folder = tmp_path / "archives"
    folder.mkdir()
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        archive.writestr("cat/1.png", file_of(PIXELS, "PNG"))
        archive.writestr("dog/1.png", file_of(PIXELS + 1, "PNG"))
    return folder


def test_a_dataset_is_prepared_from_its_archive(tmp_path, archives):
    settings = {"tfds_dir": tmp_path / "prepared", "tfds_manual_dir": archives}
    source = build_source("tfds", tfds_name="manual_photos/plain", **settings)
    assert sorted(item.label for item in read_all(source)) == [0, 1]
    (archives / "photos.zip").unlink()
    again = build_source("tfds", tfds_name="manual_photos/plain", **settings)
    assert again.info() == source.info()


def test_what_is_not_in_the_archives_is_not_downloaded(tmp_path, archives):
    settings = {"tfds_dir": tmp_path / "prepared", "tfds_manual_dir": archives}
    with pytest.raises(DataError, match=r"it needs http://localhost:9/more\.zip, which is not th"):
        build_source("tfds", tfds_name="manual_photos/more", **settings)
    (archives / "photos.zip").unlink()
    with pytest.raises(DataError, match=r"could not be prepared from .*archives.*instructions"):
        build_source("tfds", tfds_name="manual_photos/plain", **settings)
    archives.rmdir()
    with pytest.raises(DataError, match=r"manual_dir: no such folder: .*archives"):
        build_source("tfds", tfds_name="manual_photos/plain", **settings)
    with pytest.raises(DataError, match=r"'absent' could not be prepared from .*absent not found"):
        build_source("tfds", tfds_name="absent", tfds_dir=tmp_path, tfds_manual_dir=tmp_path)


def test_an_archive_of_a_known_name_stands_for_its_download(tmp_path):
    """CIFAR-10's own code asks for this file, and refuses any other content."""
    with pytest.raises(DataError, match=r"it needs .*cifar-10-binary\.tar\.gz.* as cifar-10-bin"):
        build_source("tfds", tfds_name="cifar10", tfds_dir=tmp_path, tfds_manual_dir=tmp_path)
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"NonMatchingChecksumError"):
        build_source("tfds", tfds_name="cifar10", tfds_dir=tmp_path, tfds_manual_dir=tmp_path)


def test_a_bucket_is_refused():
    with pytest.raises(
        UsageError, match=r"data\.tfds_dir: .* local disk, received gs://bucket/sets"
    ):
        build_source("tfds", tfds_name="small", tfds_dir="gs://bucket/sets")
