"""Self-training losses: cross-entropy with labels, and consistency with a teacher."""

from __future__ import annotations

import tensorflow as tf

from twofold.components import distribute
from twofold.components.losses.reduction import mean_share, widen


def consistency(
    student_logits: tf.Tensor,
    teacher_logits: tf.Tensor,
    temperature: float,
    *,
    squared_temperature: bool = False,
    weights: tf.Tensor | None = None,
) -> tf.Tensor:
    """Divergence of the student from the teacher at a temperature (Hinton et al., 2015, section 2).

    ``KL(softmax(teacher / T) || softmax(student / T))``, the mean over the global batch. Its
    gradient shrinks as 1 / T^2; the paper multiplies by T^2 to undo that. The teacher gets no
    gradient.

    Args:
        student_logits: float [n, K], of this replica's images; any float type, computed in float32
            or wider.
        teacher_logits: float [n, K].
        temperature: T > 0.
        squared_temperature: multiply by T^2.
        weights: float [n], >= 0, such as those of ``confident``: the mean becomes the weighted one,
            divided by the weights of the global batch, and 0 where they are all 0. None weighs all
            images alike.

    Returns:
        Scalar, this replica's share of the loss, which is at least 0.

    """
    student_logits = widen(student_logits)
    teacher_logits = tf.stop_gradient(tf.cast(teacher_logits, student_logits.dtype))
    teacher = tf.nn.log_softmax(teacher_logits / temperature)
    student = tf.nn.log_softmax(student_logits / temperature)
    divergence = tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=1)
    if squared_temperature:
        divergence *= temperature**2
    if weights is None:
        return mean_share(divergence)
    return _weighted_mean_share(divergence, tf.cast(weights, divergence.dtype))


def confident(teacher_logits: tf.Tensor, threshold: float) -> tf.Tensor:
    """Marks the images whose pseudo-label is to be trusted (Xie et al., 2020, section 2).

    Noisy Student keeps the images whose most likely class is likely enough, at temperature 1.

    Args:
        teacher_logits: float [n, K]; any float type, computed in float32 or wider.
        threshold: in [0, 1]; at 0 all images are kept.

    Returns:
        [n], float32 or wider: 1 where the largest probability is at least the threshold, else 0.

    """
    probabilities = tf.nn.softmax(widen(teacher_logits))
    return tf.cast(tf.reduce_max(probabilities, axis=1) >= threshold, probabilities.dtype)


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy and accuracy over the labelled images of the global batch.

    ``-log softmax(logits)[label]`` (Bishop, 2006, equation 4.108), the mean over the images that
    have a label.

    Args:
        logits: float [n, K], of this replica's images; any float type, computed in float32 or
            wider.
        labels: int32 [n], in [0, K), or -1 for none.

    Returns:
        (loss, accuracy), scalars: this replica's shares of the means, which are 0 where no image of
        the global batch has a label.

    """
    logits = widen(logits)
    labelled = tf.cast(labels >= 0, logits.dtype)
    classes = tf.maximum(labels, 0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=logits)
    hits = tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels), logits.dtype)
    return _weighted_mean_share(losses, labelled), _weighted_mean_share(hits, labelled)


def _weighted_mean_share(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    total = distribute.sum_over_replicas(tf.reduce_sum(weights))
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), total)
