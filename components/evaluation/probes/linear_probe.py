"""Linear probe: a linear classifier on frozen embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.input_checks import check_embeddings, check_labels
from twofold.components.evaluation.probes.hyperparameters import best_setting
from twofold.components.evaluation.probes.softmax_regression import (
    Standardised,
    fit_softmax_regression,
    standardise,
)
from twofold.components.training.optimizers.exclusion import Exclusion
from twofold.components.training.optimizers.lamb import LAMB

ABSENT_CLASS_MARGIN = 30.0


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """A linear softmax classifier that applies to raw embeddings.

    Attributes:
        weights: float32 [D, K].
        bias: float32 [K].
        converged: whether the fit reached its tolerance; None where the protocol is a fixed
            number of epochs and there is no tolerance to reach.
        losses: of each epoch of such a protocol, the mean cross-entropy of its images, in nats.
        accuracies: after each epoch of such a protocol, the share of held-out images that it gets
            right; empty where it was given none.

    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    converged: bool | None = None
    losses: tuple[float, ...] = ()
    accuracies: tuple[float, ...] = ()

    def logits(self, embeddings: NDArray[Any]) -> NDArray[np.float32]:
        """Give float32 [N, K] for float embeddings [N, D].

        Raises:
            EvaluationError: if the embeddings are not finite floats of the probe's width.

        """
        check_embeddings(embeddings)
        if embeddings.shape[1] != self.weights.shape[0]:
            raise EvaluationError(
                f"The probe was fitted on embeddings of width {self.weights.shape[0]}, "
                f"but these have width {embeddings.shape[1]}."
            )
        return embeddings.astype(np.float32) @ self.weights + self.bias

    def probabilities(self, embeddings: NDArray[Any]) -> NDArray[np.float32]:
        """Give the softmax of the logits, float32 [N, K], each row adding up to 1."""
        logits = self.logits(embeddings)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
        return probabilities

    def accuracy(self, embeddings: NDArray[Any], labels: NDArray[Any]) -> float:
        """Give the share in [0, 1] of images whose largest logit is their label's.

        Args:
            embeddings: float [N, D].
            labels: int [N] in [0, K).

        Raises:
            EvaluationError: if the embeddings or labels cannot be used.

        """
        logits = self.logits(embeddings)
        check_labels(labels, rows=len(logits), classes=logits.shape[1])
        return float((logits.argmax(axis=1) == labels).mean())


def fit_logistic_regression(
    embeddings: NDArray[Any],
    labels: NDArray[Any],
    *,
    classes: int,
    regularisation: float = 1.0,
    max_iterations: int = 1000,
    tolerance: float = 1e-5,
) -> LinearProbe:
    """Fit a multinomial logistic regression on standardised embeddings until it converges.

    The standardisation (each feature to mean 0 and variance 1; a constant feature only to mean 0)
    is folded into the weights and the bias. Whether the optimiser reached its tolerance is in the
    probe's `converged`: stopping early costs a little accuracy and is no reason to lose a run.

    A class that no training image has gets the mean of the other classes' logits less
    `ABSENT_CLASS_MARGIN`. That is finite, and it is never the largest for any embedding, since a
    mean is at most the maximum; its probability stays below exp(-30).

    Args:
        embeddings: float [N, D].
        labels: int [N] in [0, classes), of at least two different classes.
        classes: K, the number of columns of the head.
        regularisation: scikit-learn's C, the inverse strength of the L2 penalty, above 0.
        max_iterations: the most L-BFGS iterations.
        tolerance: the largest entry of the mean gradient at which the fit counts as converged.

    Raises:
        EvaluationError: if the embeddings or labels cannot be used, or have one class only.

    """
    check_embeddings(embeddings)
    return _fit(standardise(embeddings), labels, classes, regularisation, max_iterations, tolerance)


def _fit(
    standardised: Standardised,
    labels: NDArray[Any],
    classes: int,
    regularisation: float,
    max_iterations: int,
    tolerance: float,
) -> LinearProbe:
    check_labels(labels, rows=len(standardised.features), classes=classes)
    present, targets = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        raise EvaluationError(
            f"A logistic regression needs images of at least two classes, but all {len(labels)} "
            f"are of class {present[0]}."
        )
    # scikit-learn's penalty is on the log-odds of two classes, the difference of their weights.
    strength = regularisation / 2 if len(present) == 2 else regularisation
    fit = fit_softmax_regression(
        standardised,
        targets,
        regularisation=strength,
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    fitted = fit.weights / standardised.scale[:, None]
    intercept = fit.bias - standardised.mean @ fitted

    weights = np.repeat(fitted.mean(axis=1)[:, None], classes, axis=1)
    bias = np.full(classes, intercept.mean() - ABSENT_CLASS_MARGIN)
    weights[:, present] = fitted
    bias[present] = intercept
    return LinearProbe(weights.astype(np.float32), bias.astype(np.float32), fit.converged)


def choose_regularisation(
    embeddings: NDArray[Any],
    labels: NDArray[Any],
    validation_embeddings: NDArray[Any],
    validation_labels: NDArray[Any],
    *,
    classes: int,
    strengths: Sequence[float],
    max_iterations: int = 1000,
    tolerance: float = 1e-5,
) -> float:
    """Choose the strength of the L2 penalty on images that the fits have not seen.

    As Kornblith et al. 2019 ("Do Better ImageNet Models Transfer Better?", section 3.1) choose it:
    one logistic regression for each strength, of which the one of highest accuracy wins; where
    several are equal, the one of lowest cross-entropy. Fit again on all images with what it gives.

    Args:
        embeddings: float [N, D], to fit on.
        labels: int [N] in [0, classes), of at least two different classes.
        validation_embeddings: float [M, D], to choose on.
        validation_labels: int [M] in [0, classes).
        classes: K.
        strengths: values of scikit-learn's C, at least one, each above 0.
        max_iterations: as of `fit_logistic_regression`.
        tolerance: as of `fit_logistic_regression`.

    Raises:
        EvaluationError: if there is no strength, or the embeddings or labels cannot be used.

    """
    if not strengths:
        raise EvaluationError("A strength to choose needs some to choose from, but there is none.")
    check_embeddings(embeddings)
    standardised = standardise(embeddings)
    check_labels(validation_labels, len(validation_embeddings), classes, "validation_labels")
    scores: dict[float, tuple[float, ...]] = {}
    for strength in sorted(set(strengths)):
        probe = _fit(standardised, labels, classes, strength, max_iterations, tolerance)
        logits = probe.logits(validation_embeddings).astype(np.float64)
        own = logits[np.arange(len(logits)), validation_labels]
        largest = logits.max(axis=1)
        spread = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
        accuracy = float((logits.argmax(axis=1) == validation_labels).mean())
        scores[strength] = accuracy, float((own - spread).mean())
    return best_setting(scores)


def fit_recipe_probe(
    embeddings: NDArray[Any],
    labels: NDArray[Any],
    *,
    classes: int,
    epochs: int = 10,
    batch_size: int = 1000,
    learning_rate: float = 1e-3,
    schedule_epochs: int | None = 100,
    optimizer: Literal["adam", "lamb"] = "adam",
    penalty: float = 0.0,
    last_batch: Literal["keep", "drop"] = "keep",
    initializer: Literal["pytorch", "keras"] = "pytorch",
    held_out: tuple[NDArray[Any], NDArray[Any]] | None = None,
    seed: int = 0,
) -> LinearProbe:
    """Train one linear layer for a fixed number of epochs on the frozen embeddings.

    By default the protocol of the Neuromatch self-supervision tutorial (recipe E): softmax
    cross-entropy, Adam, minibatches of a new random order each epoch. Recipe C's is 35 epochs of
    LAMB at a constant rate, batches of 512 without what is left over, a penalty of 0.02 and Keras's
    first weights. Far from converged by design: it also measures how readily the classes can be
    read. The same arguments give the same probe.

    Args:
        embeddings: float [N, D], used as they are.
        labels: int [N] in [0, classes).
        classes: K, the number of columns of the head.
        epochs: passes over the embeddings, at least 1.
        batch_size: images a step, at least 1.
        learning_rate: of the optimizer in the first epoch.
        schedule_epochs: length of a cosine annealing of the rate to 0, stepped once an epoch; the
            rate of later epochs rises again as it fell, as PyTorch's does. None keeps it constant.
        optimizer: "adam", with an epsilon of 1e-8, or "lamb".
        penalty: factor on the sum of the squared weights, which is added to the loss, at least 0.
        last_batch: "keep" takes what fills no batch, too; "drop" leaves it out, unless it is all.
        initializer: "pytorch" starts weights and bias from u[-1/sqrt(D), 1/sqrt(D)], "keras"
            weights from u[-sqrt(6 / (D + K)), sqrt(6 / (D + K))] and a bias of 0.
        held_out: embeddings [M, D] and labels int [M] to measure the accuracy on after each epoch.
        seed: of the initial weights and of the order.

    Raises:
        EvaluationError: if the embeddings or labels cannot be used, or epochs, batch_size or
            schedule_epochs are below 1.

    """
    check_embeddings(embeddings)
    check_labels(labels, rows=len(embeddings), classes=classes)
    for name, value in (
        ("epochs", epochs),
        ("batch_size", batch_size),
        ("schedule_epochs", schedule_epochs),
    ):
        if value is not None and value < 1:
            raise EvaluationError(f"{name} must be at least 1, but it is {value}.")

    images, width = embeddings.shape
    random = np.random.default_rng(seed)
    layer = keras.layers.Dense(classes, kernel_initializer="zeros", dtype="float32")
    layer.build((None, width))
    limit = 1 / np.sqrt(width) if initializer == "pytorch" else np.sqrt(6 / (width + classes))
    # Weights before the bias: the order decides what a seed gives.
    kernel = random.uniform(-limit, limit, (width, classes))
    bias = random.uniform(-limit, limit, classes) if initializer == "pytorch" else np.zeros(classes)
    layer.set_weights([kernel, bias])
    updates: keras.optimizers.Optimizer = (
        # Recipe E's Adam has epsilon 1e-8, where Keras's default is 1e-7.
        keras.optimizers.Adam(learning_rate, epsilon=1e-8)
        if optimizer == "adam"
        else LAMB(learning_rate, exclude_from_decay=Exclusion())
    )
    updates.build(layer.trainable_variables)
    features = tf.constant(embeddings, tf.float32)
    targets = tf.constant(labels, tf.int32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)
    def step(rows: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=tf.gather(targets, rows), logits=layer(tf.gather(features, rows))
            )
            loss = tf.reduce_mean(cross_entropy)
            if penalty > 0:
                loss += penalty * tf.reduce_sum(tf.square(layer.kernel))
        gradients = tape.gradient(loss, layer.trainable_variables)
        updates.apply(gradients, layer.trainable_variables)
        return tf.reduce_sum(cross_entropy)

    losses: list[float] = []
    accuracies: list[float] = []
    left_over = images % batch_size if last_batch == "drop" and images > batch_size else 0
    taken = images - left_over
    for epoch in range(epochs):
        if schedule_epochs is not None:
            progress = epoch / schedule_epochs
            updates.learning_rate.assign(learning_rate * (1 + np.cos(np.pi * progress)) / 2)
        order = random.permutation(images)[:taken]
        starts = range(0, taken, batch_size)
        summed = [step(order[start : start + batch_size]) for start in starts]
        losses.append(float(tf.add_n(summed)) / taken)
        if held_out is not None:
            accuracies.append(LinearProbe(*layer.get_weights()).accuracy(*held_out))

    weights, fitted_bias = layer.get_weights()
    return LinearProbe(weights, fitted_bias, losses=tuple(losses), accuracies=tuple(accuracies))
