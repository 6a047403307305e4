import gc
import shutil

import numpy as np
import pytest
import tensorflow as tf

from twofold.components.errors import ModelDirectoryError
from twofold.serving.repository import Repository, find_versions
from twofold.serving.status_codes import Code, ServingError


def test_newest_version_is_served_and_other_entries_are_ignored(model_dir, tmp_path):
    for entry in ("1", "3", "20", "latest", "30.tmp"):
        shutil.copytree(model_dir / "3", tmp_path / entry)
    (tmp_path / "40").mkdir()  # an export under way: no saved_model.pb yet
    assert sorted(find_versions(tmp_path)) == [1, 3, 20]
    assert Repository("enc", tmp_path).number == 20


def test_version_directory_itself_is_accepted(model_dir):
    assert find_versions(model_dir / "3") == {3: model_dir / "3"}


def make_missing(path):
    return "No such model directory"


def make_file(path):
    path.write_text("x")
    return "is a file"


def make_empty(path):
    path.mkdir()
    return "found nothing"


def make_other(path):
    path.mkdir()
    (path / "photo.jpg").touch()
    return "found photo.jpg"


def make_version_without_model(path):
    (path / "1" / "variables").mkdir(parents=True)
    return "found 1"


def make_unnumbered(path):
    path.mkdir()
    (path / "saved_model.pb").touch()
    return "is no integer version"


@pytest.mark.parametrize(
    "make",
    [
        make_missing,
        make_file,
        make_empty,
        make_other,
        make_version_without_model,
        make_unnumbered,
    ],
)
def test_directory_without_model_says_what_was_expected_and_found(tmp_path, make):
    path = tmp_path / "model"
    found = make(path)
    with pytest.raises(ModelDirectoryError) as caught:
        Repository("enc", path)
    assert f"expected {path}/<integer version>/saved_model.pb" in str(caught.value)
    assert found in str(caught.value)


def test_damaged_file_and_missing_weights_are_named(model_dir, tmp_path):
    damaged = tmp_path / "damaged" / "1"
    damaged.mkdir(parents=True)
    (damaged / "saved_model.pb").write_bytes(b"this is no SavedModel")
    lacking = tmp_path / "lacking" / "1"
    shutil.copytree(model_dir / "3", lacking)
    shutil.rmtree(lacking / "variables")
    for version in (damaged, lacking):
        with pytest.raises(ModelDirectoryError, match=f"{version} cannot be loaded"):
            Repository("enc", version.parent).load()


def test_model_without_signatures_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"))
    with pytest.raises(ModelDirectoryError, match="no signature to serve"):
        Repository("enc", tmp_path).load()


def test_signatures_have_names_dtypes_and_shapes(repository):
    signature = repository.version("enc").signature("pair")
    assert {key: (info.dtype, info.shape) for key, info in signature.inputs.items()} == {
        "a": ("float32", (None, 2)),
        "b": ("int32", (None,)),
    }
    assert {key: (info.dtype, info.shape) for key, info in signature.outputs.items()} == {
        "sum": ("float32", (None,))
    }


def test_predict_gives_every_output(repository):
    images = np.array([b"12345", b""], np.object_)
    outputs = repository.version("enc").predict("serving_default", {"image_bytes": images})
    assert set(outputs) == {"embedding", "probabilities"}
    np.testing.assert_allclose(
        outputs["embedding"], [[5.0, 2.5, 5 / 3], [0.0, 0.0, 0.0]], rtol=1e-6
    )
    assert outputs["embedding"].dtype == np.float32


@pytest.mark.parametrize(
    ("name", "inputs", "expected"),
    [
        ("total", {"x": np.array([1, 2], np.float32)}, np.array(3, np.float32)),
        ("joined", {"text": np.array([b"a", b"b"], np.object_)}, np.array(b"ab", np.object_)),
    ],
)
def test_a_scalar_output_is_an_array_without_dimensions(repository, name, inputs, expected):
    (output,) = repository.version("enc").predict(name, inputs).values()
    assert isinstance(output, np.ndarray)
    assert (output.shape, output.dtype) == ((), expected.dtype)
    assert output == expected


def test_an_empty_batch_is_answered(repository):
    outputs = repository.version("enc").predict("texts", {"text": np.empty(0, np.object_)})
    assert outputs["same"].shape == (0,)


def test_wrong_rank_is_refused_before_the_model_runs(repository):
    with pytest.raises(ServingError, match="shape") as caught:
        repository.version("enc").predict("embed", {"images": np.zeros((2, 2, 1), np.uint8)})
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_an_error_of_the_model_keeps_its_code_and_loses_its_graph_nodes(repository):
    with pytest.raises(ServingError) as caught:
        repository.version("enc").predict("positive", {"x": np.array([-1], np.float32)})
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message.startswith("assertion failed: [not positive")
    assert "{{node" not in caught.value.message


def test_unknown_names_and_versions_are_not_found(model_dir, repository):
    for name, number, text in [("x", None, "Latest(x)"), ("enc", 9, "Specific(enc, 9)")]:
        with pytest.raises(ServingError) as caught:
            repository.version(name, number)
        assert caught.value.code is Code.NOT_FOUND
        assert caught.value.message == f"Servable not found for request: {text}"
    with pytest.raises(ServingError, match=r"Latest\(enc\)"):
        Repository("enc", model_dir).version("enc")


def test_loaded_objects_are_out_of_the_collectors_way(repository):
    assert repository.is_loaded
    assert gc.get_freeze_count() > 0
