"""Computes tensorflow-addons' values; run by the interpreter of its own environment.

Usage: python reference.py INPUTS.npz VALUES.npz
"""

# Python 3.9 may run this, whose zip knows no strict.
# ruff: noqa: B905

import sys

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa


def lamb(inputs, *, weight_decay, not_decayed, not_adapted):
    """Returns a kernel and a bias after each step."""
    variables = [
        tf.Variable(inputs["kernel"], name="kernel"),
        tf.Variable(inputs["bias"], name="bias"),
    ]
    optimizer = tfa.optimizers.LAMB(
        learning_rate=float(inputs["rate"]),
        weight_decay=weight_decay,
        exclude_from_weight_decay=not_decayed,
        exclude_from_layer_adaptation=not_adapted,
    )
    path = []
    for kernel, bias in zip(inputs["kernel_gradients"], inputs["bias_gradients"]):
        gradients = [tf.constant(kernel), tf.constant(bias)]
        optimizer.apply_gradients(zip(gradients, variables))
        path.append(np.concatenate([variable.numpy().ravel() for variable in variables]))
    return np.array(path)


def stochastic_average(inputs, *, start, period):
    """Returns the weights along the way, then the average assigned to them."""
    variable = tf.Variable(inputs["kernel"])
    optimizer = tfa.optimizers.SWA(
        tf.keras.optimizers.legacy.SGD(float(inputs["rate"])), start, period
    )
    path = []
    for gradient in inputs["kernel_gradients"]:
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
        path.append(variable.numpy())
    optimizer.assign_average_vars([variable])
    return np.array([*path, variable.numpy()])


def blurred(inputs, size):
    """Returns each image under its own sigma."""
    return np.array(
        [
            tfa.image.gaussian_filter2d(image, (size, size), float(sigma), "REFLECT").numpy()
            for image, sigma in zip(inputs["images"], inputs["sigmas"])
        ]
    )


def main():
    inputs = np.load(sys.argv[1])
    decay = float(inputs["decay"])
    values = {
        "lamb": lamb(inputs, weight_decay=0.0, not_decayed=None, not_adapted=None),
        "lamb_decayed": lamb(inputs, weight_decay=decay, not_decayed=None, not_adapted=None),
        "lamb_excluded": lamb(inputs, weight_decay=decay, not_decayed=["bias"], not_adapted=None),
        "lamb_excluded_apart": lamb(
            inputs, weight_decay=decay, not_decayed=["bias"], not_adapted=["kernel"]
        ),
    }
    for start, period in inputs["averages"].tolist():
        values[f"average_{start}_{period}"] = stochastic_average(inputs, start=start, period=period)
    for size in inputs["sizes"].tolist():
        values[f"blurred_{size}"] = blurred(inputs, size)
    np.savez(sys.argv[2], **values)


if __name__ == "__main__":
    main()
