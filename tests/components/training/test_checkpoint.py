"""What a checkpoint directory holds, and how its files are replaced."""

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.heads import build_linear_head
from twofold.components.errors import CheckpointError
from twofold.components.training.resuming.weights_files import (
    is_final,
    load_encoder,
    read_weights,
    write_description,
    write_final,
    write_weights,
)


def build(width=4, seed=0):
    return build_encoder("core", (12, 12, 1), seed=seed, filters=(2,), units=(width,))


def assert_same_weights(one: keras.Model, other: keras.Model):
    for left, right in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_encoder_is_rebuilt_with_its_weights_alone(tmp_path):
    encoder = build(seed=1)
    write_description(tmp_path, {"width": 4})
    assert not is_final(tmp_path)
    write_final(tmp_path, {"encoder": encoder, "projector": build_linear_head(4, 3, seed=0)})
    assert is_final(tmp_path)

    rebuilt, description = load_encoder(tmp_path, lambda values: build(**values))
    assert description == {"width": 4}
    assert_same_weights(rebuilt, encoder)


def test_a_directory_without_description_or_weights_or_of_another_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"model\.json"):
        load_encoder(tmp_path, lambda _: build())
    write_description(tmp_path, {})
    with pytest.raises(CheckpointError, match="no finished weights"):
        load_encoder(tmp_path, lambda _: build())
    write_final(tmp_path, {"encoder": build()})
    with pytest.raises(CheckpointError, match="do not fit encoder"):
        load_encoder(tmp_path, lambda _: build(5))
    (tmp_path / "model.json").write_text(json.dumps({})[:1])
    with pytest.raises(CheckpointError, match="damaged"):
        load_encoder(tmp_path, lambda _: build())


def test_weights_replace_those_before(tmp_path):
    before, after = build(seed=1), build(seed=2)
    for model in (before, after):
        write_weights(tmp_path / "best", {"encoder": model})
    read = build()
    read_weights(tmp_path / "best", {"encoder": read})
    assert_same_weights(read, after)
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


class KilledError(Exception):
    """Stands for a signal."""


@pytest.mark.parametrize("moment", ["writing", "first rename", "second rename", "removal"])
def test_a_kill_at_any_moment_leaves_whole_weights(tmp_path, monkeypatch, moment):
    before, after = build(seed=1), build(seed=2)
    write_weights(tmp_path / "best", {"encoder": before})
    renames = []

    def killed(*arguments, **settings):
        raise KilledError

    def counted(name, original):
        def rename(*arguments):
            if name == "second rename" and arguments[1].name != "best":
                # Of a file in it.
                return original(*arguments)
            renames.append(name)
            return killed() if moment == name else original(*arguments)

        return rename

    def remove(path, *, original=shutil.rmtree, **settings):
        # The old weights go last.
        return killed() if "second rename" in renames else original(path, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", counted("first rename", Path.rename))
        patch.setattr(os, "replace", counted("second rename", os.replace))
        if moment == "writing":
            patch.setattr(tf.train.Checkpoint, "write", killed)
        if moment == "removal":
            patch.setattr(shutil, "rmtree", remove)
        with pytest.raises(KilledError):
            write_weights(tmp_path / "best", {"encoder": after})

    read = build()
    read_weights(tmp_path / "best", {"encoder": read})
    assert_same_weights(read, after if moment == "removal" else before)
    write_weights(tmp_path / "best", {"encoder": after})
    read_weights(tmp_path / "best", {"encoder": read})
    assert_same_weights(read, after)
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
