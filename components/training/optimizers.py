"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

import keras


def build_adam(
    *, learning_rate: float, warmup_steps: int, decay_steps: int | None
) -> keras.optimizers.Optimizer:
    """Builds Adam (Kingma & Ba, 2015) with a linear warm-up and a cosine decay.

    Keras computes the form at the end of the paper's section 2, whose epsilon (1e-8 here) is added
    before the bias correction; PyTorch adds it after, which tells only where gradients are tiny.

    Args:
        learning_rate: the peak rate.
        warmup_steps: steps from 0 to the peak; 0 for none.
        decay_steps: steps from the peak down to 0 along half a cosine (Loshchilov & Hutter, 2017,
            equation 5), which may reach past the end of training; None keeps the peak.

    """
    return keras.optimizers.Adam(
        learning_rate=_schedule(learning_rate, warmup_steps, decay_steps), epsilon=1e-8
    )


def _schedule(
    peak: float, warmup_steps: int, decay_steps: int | None
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if decay_steps is None and warmup_steps == 0:
        return peak
    if decay_steps is None:
        return keras.optimizers.schedules.PolynomialDecay(
            initial_learning_rate=0.0, decay_steps=warmup_steps, end_learning_rate=peak
        )
    if warmup_steps == 0:
        return keras.optimizers.schedules.CosineDecay(peak, decay_steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps, warmup_target=peak, warmup_steps=warmup_steps
    )


OPTIMIZERS = {"adam": build_adam}
