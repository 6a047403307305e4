"""Evidence lower bound of a variational autoencoder, and the sample of the code that it needs."""

from __future__ import annotations

import math

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.losses.reduction import mean_share, widen


def reconstruction(logits: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Negative log-likelihood of images under Bernoulli pixels (Kingma & Welling, 2014, app. C.1).

    ``-sum over pixels of (x log y + (1 - x) log(1 - y))`` with y = sigmoid(logits), the mean over
    the global batch.

    Args:
        logits: float [n, H, W, C], of this replica's images; any float type, computed in float32 or
            wider.
        images: float [n, H, W, C], in [0, 1].

    Returns:
        Scalar, this replica's share of the loss, in nats an image.

    """
    logits = widen(logits)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(
        labels=tf.cast(images, logits.dtype), logits=logits
    )
    return mean_share(tf.reduce_sum(losses, axis=[1, 2, 3]))


def kl_to_standard_normal(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """Divergence of the code from a standard normal (Kingma & Welling, 2014, appendix B).

    ``-1/2 sum over units of (1 + log sigma^2 - mu^2 - sigma^2)``, the mean over the global batch.

    Args:
        mean: mu, float [n, D], of this replica's images; any float type, computed in float32 or
            wider.
        log_variance: log sigma^2, float [n, D].

    Returns:
        Scalar, this replica's share of the divergence, in nats an image.

    """
    mean = widen(mean)
    log_variance = tf.cast(log_variance, mean.dtype)
    # expm1 keeps what exp would round away where the variance is near 1.
    terms = tf.square(mean) + tf.math.expm1(log_variance) - log_variance
    return mean_share(tf.reduce_sum(terms, axis=1) / 2)


def sample_gaussian(mean: tf.Tensor, log_variance: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Draws a code by the reparameterisation trick (Kingma & Welling, 2014, section 2.4).

    ``mu + sigma * e``, where the standard normal numbers e are made from uniform ones (Box &
    Muller, 1958) that belong to the image: the same on any number of replicas. They have 24 bits,
    so that no |e| is above 5.8.

    Args:
        mean: mu, float [n, D]; any float type, computed in float32 or wider.
        log_variance: log sigma^2, float [n, D].
        keys: uint32 [n], the randomness of each image at this step.

    Returns:
        [n, D], float32 or wider, differentiable in the mean and the log-variance.

    """
    mean = widen(mean)
    units = mean.shape[-1]
    numbers = tf.cast(keyed_random.uniform(keys, 2 * units), mean.dtype)
    # Uniform numbers reach 0, never 1, and 0 has no logarithm.
    radius = tf.sqrt(-2 * tf.math.log1p(-numbers[:, :units]))
    noise = radius * tf.cos(2 * math.pi * numbers[:, units:])
    return mean + tf.exp(tf.cast(log_variance, mean.dtype) / 2) * noise
