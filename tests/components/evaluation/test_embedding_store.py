import numpy as np
import pytest

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.embedding_store import EmbeddingStore

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)


def filled(folder, fingerprint="a"):
    store = EmbeddingStore(folder, fingerprint)
    store.write("test", (4, 3), lambda array: np.copyto(array, VALUES))
    return store


def test_what_was_written_is_opened_by_map_and_read_only(tmp_path):
    filled(tmp_path)
    array = EmbeddingStore(tmp_path, "a").read("test")
    assert isinstance(array, np.memmap)
    assert array.dtype == np.float32
    assert not array.flags.writeable
    np.testing.assert_array_equal(array, VALUES)


def test_every_row_has_a_key_and_a_label(tmp_path):
    keys = np.array(["train/日本/é.png", "b"], dtype=np.dtypes.StringDType())
    EmbeddingStore(tmp_path, "a").write_rows("train", keys, np.array([3, -1], np.int32))
    found, labels = EmbeddingStore(tmp_path, "a").read_rows("train")
    assert found.tolist() == keys.tolist()
    np.testing.assert_array_equal(labels, [3, -1])
    with pytest.raises(EvaluationError, match="what the rows of test are"):
        EmbeddingStore(tmp_path, "a").read_rows("test")


def test_embeddings_of_another_encoder_are_removed(tmp_path):
    filled(tmp_path)
    assert not EmbeddingStore(tmp_path, "b").has("test")
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]


def test_a_failure_while_writing_leaves_what_was_there(tmp_path):
    store = filled(tmp_path)

    def fail(array):
        array[:] = 7
        raise MemoryError

    for name in ("test", "train"):
        with pytest.raises(MemoryError):
            store.write(name, (4, 3), fail)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "test.npy"]
    np.testing.assert_array_equal(EmbeddingStore(tmp_path, "a").read("test"), VALUES)


@pytest.mark.parametrize("damage", ["cut", "gone", "other shape", "other type"])
def test_a_damaged_array_does_not_count(tmp_path, damage):
    filled(tmp_path)
    path = tmp_path / "test.npy"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "gone":
        path.unlink()
    else:
        np.save(path, VALUES[:2] if damage == "other shape" else VALUES.astype(np.float64))
    store = EmbeddingStore(tmp_path, "a")
    assert not store.has("test")
    with pytest.raises(EvaluationError, match="holds no embeddings test"):
        store.read("test")


@pytest.mark.parametrize("text", ["", "[]", '{"fingerprint": "a"}', '{"arrays": {}}', "{"])
def test_a_damaged_index_starts_anew(tmp_path, text):
    filled(tmp_path)
    (tmp_path / "index.json").write_text(text)
    assert not EmbeddingStore(tmp_path, "a").has("test")
