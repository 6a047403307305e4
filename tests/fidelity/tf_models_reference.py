"""Computes the operations of TF Models' RandAugment; run by the interpreter of its environment.

Usage: python tf_models_reference.py INPUTS.npz VALUES.npz
"""

import importlib
import sys
from unittest import mock

import numpy as np
import tensorflow as tf

_MOVED = "tensorflow.python.keras.layers.preprocessing"


def import_augment():
    """Imports the package's module; it looks for one of Keras's where TensorFlow 2.7 had it."""
    try:
        importlib.import_module(_MOVED)
    except ImportError:
        preprocessing = importlib.import_module("keras.src.layers.preprocessing")
        image_preprocessing = importlib.import_module(
            "keras.src.layers.preprocessing.image_preprocessing"
        )
        sys.modules[_MOVED] = preprocessing
        sys.modules[f"{_MOVED}.image_preprocessing"] = image_preprocessing
    return importlib.import_module("official.vision.image_classification.augment")


def applied(augment, images, name, magnitude, sign, centre):
    """Passes each image through an operation, with the sign and the centre that are given."""
    centres = mock.Mock(side_effect=[tf.constant(place) for _ in images for place in centre])
    with mock.patch.object(augment, "_randomly_negate_tensor", lambda value: sign * value):
        function, _, arguments = augment._parse_policy_info(
            name, 1.0, float(magnitude), [128] * 3, 40.0, 100.0
        )
    with mock.patch.object(augment.tf.random, "uniform", centres):
        return np.array([function(tf.constant(image), *arguments).numpy() for image in images])


def main():
    augment = import_augment()
    inputs = np.load(sys.argv[1])
    images = [name for name in inputs if name.startswith("images")]
    centre = inputs["centre"].tolist()
    values = {}
    for name in augment.RandAugment().available_ops:
        for magnitude in inputs["magnitudes"].tolist():
            for sign in (1, -1):
                for key in images:
                    values[f"{name}/{magnitude}/{sign}/{key}"] = applied(
                        augment, inputs[key], name, magnitude, sign, centre
                    )
    np.savez(sys.argv[2], **values)


if __name__ == "__main__":
    main()
