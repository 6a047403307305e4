import os
import pickle

import numpy as np
import pytest

from twofold.components.data.sources import build_source
from twofold.components.errors import DataError, UsageError


@pytest.fixture
def save(tmp_path):
    def write(**arrays):
        path = tmp_path / "set.npz"
        np.savez(path, **arrays)
        return path

    return write


def read_all(source):
    return [item for task in source.tasks(7) for item in source.read(task)]


GREY = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (GREY, GREY[..., None]),
        (GREY.astype(np.int64), GREY[..., None]),
        (np.repeat(GREY[..., None], 3, -1), np.repeat(GREY[..., None], 3, -1)),
        (GREY > 9, np.where(GREY > 9, 255, 0)[..., None]),
        ((GREY > 9).astype(np.uint8), np.where(GREY > 9, 255, 0)[..., None]),
        ((GREY / 255).astype(np.float32), GREY[..., None]),
    ],
    ids=["uint8", "int64", "colour", "bool", "binary", "float"],
)
def test_images_become_uint8(save, images, expected):
    items = read_all(build_source("npz", path=save(x=images)))
    np.testing.assert_array_equal(np.stack([item.image for item in items]), expected)
    assert [item.key for item in items] == ["set/00000000", "set/00000001"]
    assert [item.label for item in items] == [-1, -1]


def test_labels_and_latents_are_found_by_their_usual_names(save):
    path = save(images=GREY, y=np.array([[2], [-1]]), latents=np.array([[0.5], [1.5]]))
    source = build_source("npz", path=path)
    assert source.info().class_names == ("0", "1", "2")
    assert source.info().latent_names == ("latent_0",)
    assert [(item.label, item.latents) for item in read_all(source)] == [(2, (0.5,)), (-1, (1.5,))]


def test_fields_can_be_named(save):
    path = save(pictures=GREY, images=np.zeros((1, 2)), kind=np.array([1, 0]))
    source = build_source(
        "npz", path=path, image_field="pictures", label_field="kind", class_names=("off", "on")
    )
    assert source.info().class_names == ("off", "on")
    assert [item.label for item in read_all(source)] == [1, 0]


def test_a_label_can_be_the_rank_of_a_latent(save):
    path = save(images=GREY, latents=np.array([[7.0, 3.0], [8.0, 2.5]]))
    source = build_source("npz", path=path, latent_names=("size", "shape"), label_latent="shape")
    assert source.info().class_names == ("2.5", "3")
    assert [item.label for item in read_all(source)] == [1, 0]


def test_the_shared_subset_loads(shared_file):
    source = build_source(
        "npz",
        path=shared_file("dsprites/dsprites_subset.npz"),
        latent_names=("shape", "scale", "orientation", "posX", "posY"),
        label_latent="shape",
    )
    assert source.info().class_names == ("1", "2", "3")
    *_, task = source.tasks(10_000)
    *_, item = source.read(task)
    assert item.key == "dsprites_subset/00019999"
    assert isinstance(item.image, np.ndarray)
    assert item.image.shape == (64, 64, 1)
    assert set(np.unique(item.image)) == {0, 255}
    assert item.label == item.latents[0] - 1


@pytest.mark.parametrize(
    ("arrays", "settings", "message"),
    [
        ({"pics": GREY}, {}, "no field 'images' or 'imgs' or 'x' or 'image'; present: pics"),
        ({"x": GREY}, {"image_field": "X"}, "no field 'X'; present: x"),
        ({"x": GREY}, {"label_field": "y"}, "no field 'y'"),
        ({"x": GREY}, {"latent_names": ["a"]}, "no field 'latents' or 'latents_values'"),
        ({"x": GREY}, {"label_latent": "shape"}, "no latent 'shape'; known latents: none"),
        ({"x": GREY[0]}, {}, r"field 'x': expected images \[N, H, W\].*\(4, 4\)"),
        ({"x": GREY[:0]}, {}, r"received shape \(0, 4, 4, 1\)"),
        ({"x": np.zeros((2, 4, 4, 2))}, {}, "with C 1 or 3"),
        ({"x": GREY * 2.0}, {}, r"values from 0 to 1 \(float64\), received 0.0 to 62.0"),
        ({"x": np.full((1, 2, 2), np.nan)}, {}, "received nan to nan"),
        ({"x": GREY.astype(np.int16) - 1}, {}, "received -1 to 30"),
        ({"x": GREY.astype(str)}, {}, "numbers or booleans"),
        ({"x": GREY, "y": np.zeros(3, int)}, {}, r"field 'y': expected integers \[2\]"),
        ({"x": GREY, "y": np.zeros(2)}, {}, "of float64"),
        ({"x": GREY, "y": np.array([0, 2])}, {"class_names": ["a", "b"]}, r"from 0 to 1 .*0 to 2"),
        ({"x": GREY, "y": np.array([0, 10**9])}, {}, "0 to 1000000000"),
        ({"x": GREY, "latents": np.zeros(2)}, {}, r"expected numbers \[2, L\]"),
        ({"x": GREY, "latents": np.zeros((2, 2))}, {"latent_names": ["a"]}, "received 2 columns"),
        ({"x": GREY, "y": np.array([None, {}])}, {}, "field 'y' is unreadable.*allow_pickle"),
    ],
)
def test_bad_fields_are_named(save, arrays, settings, message):
    with pytest.raises(DataError, match=message) as caught:
        build_source("npz", path=save(**arrays), **settings).info()
    assert "set.npz" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no such file: .*gone\.npz"):
        build_source("npz", path=tmp_path / "gone.npz")


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "array.npz"
    np.save(tmp_path / "array.npy", GREY)
    (tmp_path / "array.npy").rename(path)
    with pytest.raises(DataError, match=r"array\.npz: not a readable \.npz file"):
        build_source("npz", path=path)


def test_a_damaged_field_is_named(save):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 9, 9), dtype=np.uint8)
    path = save(images=images)
    content = path.read_bytes()
    path.write_bytes(content.replace(images.tobytes(), bytes(images.size)))
    source = build_source("npz", path=path)
    with pytest.raises(DataError, match=r"set\.npz: field 'images' is unreadable"):
        source.info()


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (GREY, GREY[..., None]),
        (GREY.astype(np.int32), GREY[..., None]),
        (GREY > 9, np.where(GREY > 9, 255, 0)[..., None]),
        ((GREY / 255).astype(">f4"), GREY[..., None]),
        (np.asfortranarray(GREY), GREY[..., None]),
    ],
    ids=["uint8", "int32", "bool", "float", "columns"],
)
def test_one_array_is_images_alone(tmp_path, images, expected):
    np.save(tmp_path / "set.npy", images)
    source = build_source("npz", path=tmp_path / "set.npy")
    items = read_all(source)
    np.testing.assert_array_equal(np.stack([item.image for item in items]), expected)
    assert [item.key for item in items] == ["set/00000000", "set/00000001"]
    assert {item.label for item in items} == {-1}
    assert source.info().class_names == ()
    assert not any(isinstance(item.image, np.memmap) for item in items)


def test_values_are_checked_in_all_parts_of_an_array(tmp_path, monkeypatch):
    monkeypatch.setattr("twofold.components.data.sources.npz._CHECKED_BYTES", 16)
    images = np.zeros((5, 4, 4), np.uint8)
    images[4, 3, 3] = 1
    np.save(tmp_path / "set.npy", images)
    assert read_all(build_source("npz", path=tmp_path / "set.npy"))[4].image.max() == 255
    images[4, 3, 3] = 2
    np.save(tmp_path / "set.npy", images)
    assert read_all(build_source("npz", path=tmp_path / "set.npy"))[4].image.max() == 2
    for bad, message in ((np.nan, "received nan to nan"), (1.5, r"received 0\.0 to 1\.5")):
        floats = images.astype(float) / 2
        floats[2, 0, 0] = bad
        np.save(tmp_path / "set.npy", floats)
        with pytest.raises(DataError, match=message):
            build_source("npz", path=tmp_path / "set.npy").info()


def test_the_content_id_follows_the_content(save):
    def content_ids(**arrays):
        return {item.content_id for item in read_all(build_source("npz", path=save(**arrays)))}

    first = content_ids(x=GREY)
    assert len(first) == 1
    assert content_ids(x=GREY) == first
    assert content_ids(x=GREY + 1).isdisjoint(first)


def test_another_field_is_another_content_id(save):
    path = save(x=GREY, other=GREY + 1)
    first, second = (
        read_all(build_source("npz", path=path, image_field=field)) for field in ("x", "other")
    )
    assert first[0].key == second[0].key
    assert first[0].content_id != second[0].content_id


def test_an_array_that_is_replaced_has_another_content_id(tmp_path):
    np.save(tmp_path / "set.npy", GREY)
    os.utime(tmp_path / "set.npy", ns=(0, 0))
    before = read_all(build_source("npz", path=tmp_path / "set.npy"))[0].content_id
    np.save(tmp_path / "set.npy", GREY + 1)
    assert read_all(build_source("npz", path=tmp_path / "set.npy"))[0].content_id != before


def test_a_file_that_changes_while_it_is_prepared_is_refused(save):
    source = build_source("npz", path=save(x=GREY))
    pickled = pickle.dumps(source)
    save(x=GREY + 1)
    with pytest.raises(DataError, match="changed while it was being prepared"):
        pickle.loads(pickled).info()


def test_a_bucket_is_refused():
    with pytest.raises(UsageError, match=r"data\.path: .* local disk, received gs://bucket/a\.npz"):
        build_source("npz", path="gs://bucket/a.npz")


def test_an_array_of_objects_is_never_loaded(tmp_path):
    np.save(tmp_path / "set.npy", np.array([{}, None]), allow_pickle=True)
    with pytest.raises(DataError, match=r"set\.npy: field 'images' is unreadable"):
        build_source("npz", path=tmp_path / "set.npy").info()
