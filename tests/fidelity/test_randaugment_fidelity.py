"""RandAugment gives the pixels of ``tf-models-official``, computed live.

`make test-fidelity` makes the environment that computes them.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from twofold.components.transforms.consistency.randaugment_tf_models import (
    OPERATIONS,
    TFModelsParameters,
    TFModelsRandAugment,
    apply_tf_models,
)

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "TWOFOLD_FIDELITY_PYTHON"
PYTHON = Path(os.environ.get(VARIABLE, ROOT / ".venv-fidelity" / "bin" / "python"))

MAGNITUDES = (2, 3, 5, 7, 9)
CENTRE = (10, 30)
NAMES = {
    "AutoContrast": "autocontrast",
    "Brightness": "brightness",
    "Color": "colour",
    "Contrast": "contrast",
    "Cutout": "cutout",
    "Equalize": "equalise",
    "Invert": "invert",
    "Posterize": "posterise",
    "Rotate": "rotate",
    "Sharpness": "sharpness",
    "ShearX": "shear_x",
    "ShearY": "shear_y",
    "Solarize": "solarise",
    "SolarizeAdd": "solarise_add",
    "TranslateX": "translate_x",
    "TranslateY": "translate_y",
}
# The share of pixels that may be one step of 255 off. Of sharpness the package's own sums differ
# as much between the versions 2.7 and 2.15 of TensorFlow.
APART = {"Sharpness": 0.01, "Color": 1e-4}

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(),
    reason=f"no interpreter with tf-models-official at {PYTHON}: `make test-fidelity` makes one, "
    f"or {VARIABLE} names one",
)


def _images():
    """Soft waves of recipe D's size, noise that is not square, and one colour."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:72, :72] / 9
    phases = random.uniform(0, 6, (2, 4, 1, 1, 3))
    waves = np.sin(rows[..., None] + phases[0]) * np.cos(columns[..., None] + phases[1])
    return {
        "images_soft": (127.5 + 127.5 * waves).astype(np.uint8),
        "images_noise": random.integers(0, 256, (3, 48, 60, 3)).astype(np.uint8),
        "images_plain": np.full((1, 40, 40, 3), 200, np.uint8),
    }


IMAGES = _images()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Gives the package's values of all images."""
    folder = tmp_path_factory.mktemp("fidelity")
    inputs: dict[str, Any] = {"centre": np.array(CENTRE, np.int32), **IMAGES}
    np.savez(folder / "inputs.npz", magnitudes=np.array(MAGNITUDES), **inputs)
    command = [str(PYTHON), str(Path(__file__).with_name("tf_models_reference.py"))]
    command += ["inputs.npz", "values.npz"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "values.npz") as values:
        return dict(values)


def _applied(images, name, magnitude, sign):
    count = len(images)
    parameters = TFModelsParameters(
        operation=tf.fill([count, 1], OPERATIONS.index(name)),
        is_negative=tf.fill([count, 1], sign < 0),
        centre=tf.tile(tf.constant([[CENTRE]]), [count, 1, 1]),
    )
    unit = tf.constant(images / np.float32(255))
    result = apply_tf_models(unit, parameters, TFModelsRandAugment(1, magnitude))
    return np.rint(result.numpy() * 255).astype(int)


def test_every_operation_of_the_package_is_there(reference):
    found = {key.split("/")[0] for key in reference}

    assert found == set(NAMES)
    assert set(NAMES.values()) | {"identity"} == set(OPERATIONS)


@pytest.mark.parametrize("magnitude", MAGNITUDES)
@pytest.mark.parametrize("name", NAMES)
def test_an_operation_gives_the_packages_pixels(reference, name, magnitude):
    for sign in (1, -1):
        for images in IMAGES:
            expected = reference[f"{name}/{magnitude}/{sign}/{images}"].astype(int)

            apart = np.abs(_applied(IMAGES[images], NAMES[name], magnitude, sign) - expected)

            assert apart.max() <= (1 if name in APART else 0), (sign, images)
            assert np.mean(apart) <= APART.get(name, 0.0), (sign, images)
