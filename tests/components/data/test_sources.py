"""What holds for every source, whatever it reads from."""

import pickle

import numpy as np
import pytest

from components.data.errors import DataError
from components.data.sources import SOURCES, build_source

# TFDS's own, when it reads a dataset's description.
pytestmark = pytest.mark.filterwarnings("ignore:label:DeprecationWarning")

NAMES = [
    "folder-directory",
    "folder-zip",
    "folder-tar",
    "folder-tar.gz",
    "npz",
    "dsprites",
    "tfds-tfrecord",
    "tfds-array_record",
]


def described(items):
    """Items in a form that compares by value."""
    return [
        (
            item.key,
            item.image if isinstance(item.image, bytes) else item.image.tobytes(),
            item.label,
            item.latents,
            item.split,
            item.problem,
        )
        for item in items
    ]


def everything(source):
    return [item for chunk in source.chunks() for item in source.read(chunk)]


@pytest.fixture(params=NAMES)
def make(request, sources):
    return sources[request.param]


@pytest.fixture
def source(make):
    return make()


def test_chunks_cover_every_item_once_in_order(source):
    chunks = source.chunks()
    assert [chunk.start for chunk in chunks] == [0, *(chunk.stop for chunk in chunks[:-1])]
    assert len(everything(source)) == chunks[-1].stop
    assert len(pickle.dumps(chunks)) < 1000


def test_keys_are_unique(source):
    keys = [item.key for item in everything(source)]
    assert len(set(keys)) == len(keys)


def test_reading_twice_gives_the_same(make, source):
    assert described(everything(source)) == described(everything(source))
    again = make()
    assert again.info() == source.info()
    assert described(everything(again)) == described(everything(source))


def test_a_pickled_source_is_small_and_reads_the_same(source):
    pickled = pickle.dumps(source)
    assert len(pickled) < 2000
    copy = pickle.loads(pickled)
    assert copy.info() == source.info()
    assert described(everything(copy)) == described(everything(source))


def test_items_are_picked_by_position(source):
    items = everything(source)
    positions = [len(items) - 1, 3, 3, 0]
    assert described(source.pick(positions)) == described(items[i] for i in positions)


def test_items_are_as_the_source_says(source):
    info = source.info()
    assert len(info.fingerprint) == 64
    for item in everything(source):
        assert -1 <= item.label < len(info.class_names)
        assert len(item.latents) == len(info.latent_names)
        if not isinstance(item.image, bytes):
            assert item.image.dtype == np.uint8
            assert item.image.ndim == 3
            assert item.image.shape[-1] in (1, 3)


def test_an_unknown_source_lists_the_known_ones():
    with pytest.raises(DataError, match=r"'dsprits'.*dsprites, npz, folder, tfds"):
        build_source("dsprits")
    assert list(SOURCES) == ["dsprites", "npz", "folder", "tfds"]


@pytest.mark.parametrize("images", [0, -1, 737_281])
def test_dsprites_refuses_a_size_it_has_not(images):
    with pytest.raises(DataError, match=f"737280, received {images}"):
        build_source("dsprites", images=images)


def test_dsprites_keys_hold_the_latent_classes():
    source = build_source("dsprites", images=5)
    for item in source.read(source.chunks()[0]):
        classes = [int(part) for part in item.key.removeprefix("dsprites/").split("-")]
        assert item.label == classes[0]
        assert item.latents[0] == classes[0] + 1
        assert item.latents[1] == pytest.approx(0.5 + 0.1 * classes[1])
        assert item.latents[4] == pytest.approx(classes[4] / 31)
