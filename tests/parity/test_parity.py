"""LAMB, weight averaging and the blur give tensorflow-addons' own values, computed live.

`make test-parity` makes the environment that computes them.
"""

import os
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.training.averaging import StochasticWeightAverage
from twofold.components.training.optimizers.exclusion import Exclusion
from twofold.components.training.optimizers.lamb import LAMB
from twofold.components.transforms.blur import gaussian_blur

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "TWOFOLD_PARITY_PYTHON"
PYTHON = Path(os.environ.get(VARIABLE, ROOT / ".venv-parity" / "bin" / "python"))

RATE, DECAY, STEPS = 0.05, 0.2, 7
AVERAGES = [(0, 1), (0, 3), (2, 2)]
SIZES = [3, 4, 5]

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(),
    reason=f"no interpreter with tensorflow-addons at {PYTHON}: `make test-parity` makes one, or "
    f"{VARIABLE} names one",
)


def _inputs():
    generator = np.random.default_rng(0)

    def normal(*shape):
        return generator.normal(size=shape).astype(np.float32)

    return {
        "rate": RATE,
        "decay": DECAY,
        "kernel": normal(4, 3),
        "bias": normal(3),
        "kernel_gradients": normal(STEPS, 4, 3),
        "bias_gradients": normal(STEPS, 3),
        "averages": np.array(AVERAGES),
        "sizes": np.array(SIZES),
        "images": generator.uniform(size=(4, 9, 7, 3)).astype(np.float32),
        "sigmas": np.array([0.1, 0.5, 1.0, 2.0], np.float32),
    }


INPUTS = _inputs()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Gives tensorflow-addons' values of the inputs."""
    folder = tmp_path_factory.mktemp("parity")
    np.savez(folder / "inputs.npz", **INPUTS)
    command = [str(PYTHON), str(Path(__file__).with_name("reference.py"))]
    command += ["inputs.npz", "values.npz"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "values.npz") as values:
        return dict(values)


def _lamb_path(decay, not_decayed, not_adapted):
    kernel = keras.Variable(INPUTS["kernel"], name="kernel")
    bias = keras.Variable(INPUTS["bias"], name="bias")
    optimizer = LAMB(
        RATE,
        decay=decay,
        exclude_from_decay=Exclusion(not_decayed),
        exclude_from_adaptation=Exclusion(not_adapted) if not_adapted else None,
    )
    path = []
    for gradients in zip(INPUTS["kernel_gradients"], INPUTS["bias_gradients"], strict=True):
        optimizer.apply([tf.constant(one) for one in gradients], [kernel, bias])
        path.append(np.concatenate([kernel.numpy().ravel(), bias.numpy()]))
    return np.array(path)


@pytest.mark.parametrize(
    ("name", "decay", "not_decayed", "not_adapted"),
    [
        ("lamb", 0.0, (), ()),
        ("lamb_decayed", DECAY, (), ()),
        ("lamb_excluded", DECAY, ("bias",), ()),
        ("lamb_excluded_apart", DECAY, ("bias",), ("kernel",)),
    ],
)
def test_lamb(reference, name, decay, not_decayed, not_adapted):
    path = _lamb_path(decay, not_decayed, not_adapted)

    np.testing.assert_allclose(path, reference[name], rtol=0, atol=2e-6)


@pytest.mark.parametrize(("start", "period"), AVERAGES)
def test_stochastic_weight_average(reference, start, period):
    *path, expected = reference[f"average_{start}_{period}"]
    weight = keras.Variable(INPUTS["kernel"])
    average = StochasticWeightAverage([weight], start, period)
    for step, value in enumerate(path, start=1):
        weight.assign(value)
        average.update(tf.constant(step, tf.int64))
    average.assign_to([weight])

    np.testing.assert_allclose(weight.numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_gaussian_filter(reference, size):
    images = gaussian_blur(tf.constant(INPUTS["images"]), tf.constant(INPUTS["sigmas"]), size)

    np.testing.assert_allclose(images.numpy(), reference[f"blurred_{size}"], rtol=0, atol=2e-6)
