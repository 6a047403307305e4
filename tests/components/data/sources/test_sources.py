"""What holds for every source, whatever it reads from."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from twofold.components.data.sources import SOURCES, build_source
from twofold.components.errors import DataError, SettingsError

# TFDS's own, when it reads a dataset's description.
pytestmark = pytest.mark.filterwarnings("ignore:label:DeprecationWarning")

NAMES = [
    "folder-directory",
    "folder-zip",
    "folder-tar",
    "folder-tar.gz",
    "folder-tar.xz",
    "folder-several",
    "listing-csv",
    "listing-parquet",
    "tfrecord",
    "tfrecord.gz",
    "tfrecord-keyed",
    "npz",
    "npy",
    "dsprites",
    "tfds-tfrecord",
    "tfds-array_record",
]

READ_ELSEWHERE = """
import json, pickle, sys
with open(sys.argv[1], "rb") as file:
    sources, tasks = pickle.load(file)
found = {}
for name, source in sources.items():
    items = [item for task in tasks[name] for item in pickle.loads(source).read(task)]
    images = [i.image if isinstance(i.image, bytes) else i.image.tobytes() for i in items]
    found[name] = [[item.key, item.label, str(item.split), item.content_id, image.hex()]
                   for item, image in zip(items, images)]
print(json.dumps(found))
"""


def described(items):
    """Items in a form that compares by value."""
    return [
        replace(item, image=item.image if isinstance(item.image, bytes) else item.image.tobytes())
        for item in items
    ]


def everything(source, items=64):
    return [item for task in source.tasks(items) for item in source.read(task)]


@pytest.fixture(params=NAMES)
def make(request, sources):
    return sources[request.param]


@pytest.fixture
def source(make):
    return make()


def test_every_source_is_tested(sources):
    assert sorted(sources) == sorted(NAMES)
    assert {source.info().kind for source in (make() for make in sources.values())} == set(
        SOURCES.classes
    )


def test_tasks_cover_every_item_once_in_order(source):
    items = described(everything(source))
    assert len(items) == source.info().items
    for size in (1, 7, 1000):
        tasks = [list(source.read(task)) for task in source.tasks(size)]
        assert max(map(len, tasks)) <= size
        assert described(item for task in tasks for item in task) == items


def test_tasks_are_bytes_that_do_not_change(make, source):
    tasks = list(source.tasks(50))
    assert {type(task) for task in tasks} == {bytes}
    assert tasks == list(source.tasks(50)) == list(make().tasks(50))


def test_keys_are_unique(source):
    keys = [item.key for item in everything(source)]
    assert len(set(keys)) == len(keys)


def test_reading_twice_gives_the_same(make, source):
    assert described(everything(source)) == described(everything(source))
    again = make()
    assert again.info() == source.info()
    assert described(everything(again)) == described(everything(source))


def test_a_pickled_source_is_small(source):
    assert len(pickle.dumps(source)) < 2000
    source.info()
    assert len(pickle.dumps(source)) < 2000
    assert pickle.loads(pickle.dumps(source)).info() == source.info()


def test_tasks_are_read_in_another_process(tmp_path, sources):
    made = {name: make() for name, make in sources.items()}
    tasks = {name: list(source.tasks(40)) for name, source in made.items()}
    path = tmp_path / "sources"
    path.write_bytes(pickle.dumps(({n: pickle.dumps(s) for n, s in made.items()}, tasks)))
    command = [sys.executable, "-c", READ_ELSEWHERE, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    for name, source in made.items():
        items = described(everything(source))
        assert found[name] == [
            [item.key, item.label, str(item.split), item.content_id, item.image.hex()]
            for item in items
        ]


def test_items_that_are_not_wanted_come_without_their_image(source):
    asked = []

    def selected(key, content_id):
        asked.append((key, content_id))
        return len(asked) % 3 == 0

    items = described(everything(source))
    found = [item for task in source.tasks(50) for item in source.read(task, selected)]
    assert asked == [(item.key, item.content_id) for item in items]
    expected = [each if i % 3 == 2 else replace(each, image=b"") for i, each in enumerate(items)]
    assert described(found) == expected


def test_items_are_as_the_source_says(source):
    info = source.info()
    assert len(info.fingerprint) == 64
    weights = set()
    for item in everything(source):
        weights.add(item.weight)
        assert -1 <= item.label < len(info.class_names)
        assert len(item.latents) == len(info.latent_names)
        assert item.split in (None, "train", "validation", "test", "unlabelled")
        assert item.content_id
        assert item.problem is None
        assert len(item.image)
        if not isinstance(item.image, bytes):
            assert item.image.dtype == np.uint8
            assert item.image.ndim == 3
            assert item.image.shape[-1] in (1, 3)
    assert info.weighted or weights == {1.0}


def test_an_unknown_source_lists_the_known_ones():
    with pytest.raises(SettingsError, match=r"'dsprits'.*dsprites, folder, listing, npz, tfds, tf"):
        build_source("dsprits")


def test_an_unknown_setting_lists_the_known_ones():
    with pytest.raises(
        DataError, match=r"dsprites source: image: .*; its settings: images, latent_names"
    ):
        build_source("dsprites", image=3)
    with pytest.raises(DataError, match=r"folder source: path: .*; its settings: path, group_pat"):
        build_source("folder")


@pytest.mark.parametrize("images", [0, -1, 737_281])
def test_dsprites_refuses_a_size_it_has_not(images):
    with pytest.raises(DataError, match=f"images: .*(1|737280), received {images}"):
        build_source("dsprites", images=images)


def test_dsprites_keys_hold_the_latent_classes():
    source = build_source("dsprites", images=5)
    for item in everything(source):
        classes = [int(part) for part in item.key.removeprefix("dsprites/").split("-")]
        assert item.label == classes[0]
        assert item.latents[0] == classes[0] + 1
        assert item.latents[1] == pytest.approx(0.5 + 0.1 * classes[1])
        assert item.latents[4] == pytest.approx(classes[4] / 31)


def test_dsprites_of_a_larger_subset_are_the_same_images():
    small = {item.key: item for item in everything(build_source("dsprites", images=5))}
    large = {item.key: item for item in everything(build_source("dsprites", images=50))}
    for key, item in small.items():
        assert replace(large[key], image=b"") == replace(item, image=b"")
        np.testing.assert_array_equal(large[key].image, item.image)
