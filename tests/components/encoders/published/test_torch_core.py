"""PyTorch weights of the network ``core``: what it then computes, written out in their order."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.components.encoders.published.test_torch_file import write_state_dict
from twofold.components.encoders.build import build_encoder, read_torch_weights
from twofold.components.encoders.published.torch_core import assign_core
from twofold.components.errors import CheckpointError, SettingsError

SHAPE, FILTERS, UNITS = (16, 20, 1), (2, 3), (5, 4, 4)
LAST_MAP = (3, 1, 2)  # Channels, rows, columns.


def state_dict() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, out, into in (("0", 2, 1), ("4", 3, 2)):
        shapes[f"feature_extractor.{name}.weight"] = (out, into, 5, 5)
        shapes[f"feature_extractor.{name}.bias"] = (out,)
    dense = (("linear_projections.0", 5, 6), ("linear_projections.3", 4, 5))
    for name, out, into in (*dense, ("linear_projections_output.0", 4, 4)):
        shapes[f"{name}.weight"] = (out, into)
        shapes[f"{name}.bias"] = (out,)
    arrays = {name: random.normal(size=shape) for name, shape in shapes.items()}
    norms = {"feature_extractor.3": 2, "feature_extractor.7": 3, "linear_projections.2": 5}
    for name, width in (
        norms | {"linear_projections.5": 4, "linear_projections_output.2": 4}
    ).items():
        arrays[f"{name}.running_mean"] = random.normal(size=width)
        arrays[f"{name}.running_var"] = random.uniform(0.5, 2, width)
        arrays[f"{name}.num_batches_tracked"] = np.array(160)
    return {
        name: array.astype("i8" if name.endswith("tracked") else "f4")
        for name, array in arrays.items()
    }


def features_as_pytorch_computes_them(
    images: np.ndarray, arrays: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Goes through the tutorial's network on images [B, C, H, W], one sum at a time."""

    def normalised(x: np.ndarray, name: str) -> np.ndarray:
        mean, variance = (arrays[f"{name}.running_{part}"] for part in ("mean", "var"))
        shape = (1, -1, 1, 1) if x.ndim == 4 else (1, -1)
        scaled: np.ndarray = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + 1e-5)
        return scaled

    x = images
    for layer, norm in (("0", "3"), ("4", "7")):
        kernel, bias = (arrays[f"feature_extractor.{layer}.{part}"] for part in ("weight", "bias"))
        windows = np.lib.stride_tricks.sliding_window_view(x, (5, 5), axis=(2, 3))
        x = np.einsum("bihwyx,oiyx->bohw", windows, kernel) + bias.reshape(1, -1, 1, 1)
        x = np.maximum(x, 0)
        count, channels, height, width = x.shape
        x = x.reshape(count, channels, height // 2, 2, width // 2, 2).mean(axis=(3, 5))
        x = normalised(x, f"feature_extractor.{norm}")
    assert x.shape[1:] == LAST_MAP
    x = x.reshape(len(x), -1)
    for layer, norm in (
        ("linear_projections.0", "linear_projections.2"),
        ("linear_projections.3", "linear_projections.5"),
        ("linear_projections_output.0", "linear_projections_output.2"),
    ):
        x = np.maximum(x @ arrays[f"{layer}.weight"].T + arrays[f"{layer}.bias"], 0)
        x = normalised(x, norm)
    return x


def test_the_encoder_computes_what_the_published_network_does(tmp_path: Path) -> None:
    arrays = state_dict()
    encoder = build_encoder("core", SHAPE, seed=0, filters=FILTERS, units=UNITS)
    read_torch_weights("core", encoder, write_state_dict(tmp_path / "net.pth", arrays))

    images = np.random.default_rng(1).uniform(size=(4, 1, *SHAPE[:2])).astype("f4")
    expected = features_as_pytorch_computes_them(images, arrays)
    found = encoder(images.transpose(0, 2, 3, 1), training=False)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_the_second_head_of_a_vae_is_passed_over() -> None:
    arrays = state_dict() | {"linear_projections_logvar.0.weight": np.zeros((4, 4), "f4")}
    assign_core(build_encoder("core", SHAPE, seed=0, filters=FILTERS, units=UNITS), arrays)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"linear_projections.0.bias": None}, r"there is no linear_projections\.0\.bias: expected"),
        ({"fc.weight": np.zeros(3, "f4")}, r"fc\.weight has no place: expected the weights of the"),
        ({"linear_projections.0.weight": np.zeros((5, 7), "f4")}, r"received shape \(5, 7\)"),
        ({"feature_extractor.0.weight": np.zeros((2, 3, 5, 5), "f4")}, r"shape \(2, 3, 5, 5\)"),
        ({"linear_projections.0.bias": np.full(5, np.nan, "f4")}, "expected finite weights"),
        ({"feature_extractor.3.running_var": np.array([1, -1], "f4")}, "expected finite weights"),
    ],
)
def test_weights_of_another_network_are_refused_by_name(
    change: dict[str, np.ndarray | None], words: str, tmp_path: Path
) -> None:
    arrays = {name: a for name, a in (state_dict() | change).items() if a is not None}
    encoder = build_encoder("core", SHAPE, seed=0, filters=FILTERS, units=UNITS)
    path = write_state_dict(tmp_path / "net.pth", arrays)
    with pytest.raises(CheckpointError, match=words) as refused:
        read_torch_weights("core", encoder, path)
    assert str(refused.value).startswith(f"{path}: ")


def test_an_encoder_of_unknown_layout_is_refused(tmp_path: Path) -> None:
    encoder = build_encoder("conv4", (31, 31, 1), seed=0, width=4)
    with pytest.raises(SettingsError, match="the layout of conv4 in PyTorch is not known"):
        read_torch_weights("conv4", encoder, tmp_path / "net.pth")
