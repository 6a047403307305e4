"""Weights that a training starts from: found, known by content, and taken as far as they fit."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from twofold.components.errors import ConfigError
from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.continuing.start_weights import (
    follow_start,
    read_networks,
    take_weights,
)
from twofold.components.training.continuing.weight_source import check_torch_file, find_weights
from twofold.components.training.resuming.weights_files import write_final, write_weights
from twofold.components.training.step import TrainState


def network(*widths: int, value: float = 0.0) -> keras.Model:
    """Layers ``dense0``, ``dense1``..., all weights of one value."""
    images = output = keras.Input((2,))
    for index, width in enumerate(widths):
        output = keras.layers.Dense(width, name=f"dense{index}")(output)
    built = keras.Model(images, output)
    built.set_weights([np.full(one.shape, value) for one in built.get_weights()])
    return built


def train(run: Path, value: float, *, steps: int = 0, final: bool = True) -> None:
    """Writes what the checkpoints of a run hold."""
    state = TrainState({"encoder": network(3, value=value)}, keras.optimizers.Adam())
    state.build()
    state.steps.assign(steps)
    checkpoints = Checkpoints(run / "checkpoints", state, keep=9)
    checkpoints.save()
    checkpoints.wait()
    if final:
        write_final(run / "checkpoints", state.models)


def test_weights_are_found_by_a_run_its_checkpoints_or_one_of_them(tmp_path: Path) -> None:
    train(tmp_path, 1.0, steps=3)
    train(tmp_path, 2.0, steps=5)
    checkpoints = tmp_path / "checkpoints"
    for given, name in (
        (tmp_path, "final"),
        (checkpoints, "final"),
        (checkpoints / "final", "final"),
        (checkpoints / "ckpt-3", "ckpt-3"),
    ):
        found = find_weights(str(given))
        assert found.name == name
        kernel = read_networks(found.path, ["encoder"])["encoder"]["dense0/kernel"]
        np.testing.assert_array_equal(kernel, np.full((2, 3), 1.0 if name == "ckpt-3" else 2.0))
    file = tmp_path / "weights.pth"
    file.write_bytes(b"PK")
    assert find_weights(str(file)).kind == "torch"


def test_without_final_weights_the_newest_intact_checkpoint_is_taken(tmp_path: Path) -> None:
    train(tmp_path, 1.0, steps=3, final=False)
    train(tmp_path, 2.0, steps=5)
    for damaged, name in (("final/weights.index", "ckpt-5"), ("ckpt-5/state.index", "ckpt-3")):
        (tmp_path / "checkpoints" / damaged).write_bytes(b"damaged")
        assert find_weights(str(tmp_path)).name == name
    (tmp_path / "checkpoints" / "ckpt-3" / "state.index").write_bytes(b"")
    with pytest.raises(
        ConfigError,
        match=r"no intact weights \(.*final/weights\.index .*\): expected the directory",
    ):
        find_weights(str(tmp_path))
    with pytest.raises(ConfigError, match=r"start_from=nowhere: there is no such file"):
        find_weights("nowhere")


def test_a_file_of_another_program_is_refused_by_its_content(tmp_path: Path) -> None:
    hdf5, keras_file = tmp_path / "x.h5", tmp_path / "x.keras"
    hdf5.write_bytes(b"\x89HDF\r\n")
    with zipfile.ZipFile(keras_file, "w") as archive:
        archive.writestr("model.weights.h5", b"")
    for path in (hdf5, keras_file):
        expected = rf"^training\.start_from={path} is no PyTorch file: expected a state dict .* run"
        with pytest.raises(ConfigError, match=expected):
            find_weights(str(path))
        with pytest.raises(ConfigError, match=rf"^method\.weights={path} is no PyTorch file"):
            check_torch_file("method.weights", str(path))


def test_weights_are_known_by_their_content(tmp_path: Path) -> None:
    sums = []
    for folder, value in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        write_weights(tmp_path / folder, {"encoder": network(3, value=value)})
        sums.append(find_weights(str(tmp_path / folder)).checksum())
    assert sums[0] == sums[1]
    assert sums[0] != sums[2]


def test_weights_are_taken_by_name_where_shapes_fit_and_the_others_are_named(
    tmp_path: Path,
) -> None:
    write_weights(tmp_path / "w", {"encoder": network(3, 4, value=1.0)})
    there = read_networks(tmp_path / "w" / "weights", ["encoder"])
    here = network(3, 5, 6)
    taken = take_weights(here, there["encoder"])
    assert (taken.weights, taken.of) == (2, 6)
    assert taken.left == (
        "dense1/kernel: 3x4 there, 3x5 here",
        "dense1/bias: 4 there, 5 here",
        "dense2/kernel: not there",
        "dense2/bias: not there",
    )
    values = [float(one.mean()) for one in here.get_weights()]
    assert values == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]


def test_a_checkpoint_of_a_training_holds_more_than_networks(tmp_path: Path) -> None:
    train(tmp_path, 1.0, steps=3, final=False)
    found = read_networks(find_weights(str(tmp_path)).path, ["encoder"])
    assert {"encoder", "optimizer", "steps"} <= found.keys()
    assert not found["optimizer"]
    assert take_weights(network(3), found["encoder"]).weights == 2


def test_momentum_networks_begin_as_those_that_they_follow() -> None:
    models = {"encoder": network(3, value=1.0), "head": network(2, value=3.0)}
    memory = {"momentum_encoder": network(3), "queue": object(), "teacher": network(3)}
    assert follow_start(models, memory) == ["momentum_encoder"]
    follower = memory["momentum_encoder"]
    assert isinstance(follower, keras.Model)
    assert float(follower.get_weights()[0].mean()) == 1.0
