"""Optimizers by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import keras

from twofold.components.errors import SettingsError
from twofold.components.training.optimizers.exclusion import Exclusion
from twofold.components.training.optimizers.lamb import LAMB
from twofold.components.training.optimizers.rate_apart import Adam, RateApart
from twofold.components.training.optimizers.schedules import Rate
from twofold.components.training.optimizers.sgd import LARS, DecayedSGD


class ExcludingAdamW(RateApart, keras.optimizers.AdamW):
    """Keras's AdamW, which leaves weights undecayed by their path or rank, not by their name."""

    def __init__(
        self, learning_rate: Rate, *, weight_decay: float, epsilon: float, exclusion: Exclusion
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, epsilon=epsilon, name="adamw")
        self.exclusion = exclusion

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the slots, and notes which weights are excluded."""
        if not self.built:
            covered = [variable for variable in variables if self.exclusion.covers(variable)]
            self.exclude_from_weight_decay(var_list=covered)
        super().build(variables)


@dataclasses.dataclass(frozen=True)
class _Settings:
    learning_rate: Rate
    weight_decay: float
    momentum: float
    exclusion: Exclusion
    trust_coefficient: float
    epsilon: float | None

    def epsilon_or(self, default: float) -> float:
        return default if self.epsilon is None else self.epsilon


def _sgd(settings: _Settings) -> RateApart:
    if settings.epsilon is not None:
        raise SettingsError(f"sgd has no epsilon: expected None, received {settings.epsilon}")
    return DecayedSGD(
        settings.learning_rate,
        momentum=settings.momentum,
        decay=settings.weight_decay,
        exclusion=settings.exclusion,
    )


def _adam(settings: _Settings) -> RateApart:
    if settings.weight_decay:
        raise SettingsError(
            f"adam takes no weight decay: expected weight_decay=0, received "
            f"{settings.weight_decay}; adamw takes one"
        )
    return Adam(settings.learning_rate, epsilon=settings.epsilon_or(1e-8))


def _adamw(settings: _Settings) -> RateApart:
    return ExcludingAdamW(
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        epsilon=settings.epsilon_or(1e-8),
        exclusion=settings.exclusion,
    )


def _lars(settings: _Settings) -> RateApart:
    return LARS(
        settings.learning_rate,
        momentum=settings.momentum,
        decay=settings.weight_decay,
        exclusion=settings.exclusion,
        trust_coefficient=settings.trust_coefficient,
        epsilon=settings.epsilon_or(1e-8),
    )


def _lamb(settings: _Settings) -> RateApart:
    return LAMB(
        settings.learning_rate,
        decay=settings.weight_decay,
        exclude_from_decay=settings.exclusion,
        epsilon=settings.epsilon_or(1e-6),
    )


OPTIMIZERS: dict[str, Callable[[_Settings], RateApart]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "lars": _lars,
    "lamb": _lamb,
}


def build_optimizer(
    name: str,
    *,
    learning_rate: Rate,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    exclude: Sequence[str] = ("bias", "norm"),
    trust_coefficient: float = 0.001,
    epsilon: float | None = None,
) -> RateApart:
    """Builds an optimizer; do so in the strategy's scope.

    "sgd" and "lars" add the weight decay to the gradient, as PyTorch's SGD and the LARS paper do;
    "adamw" shrinks the weights by ``learning_rate * weight_decay`` apart from the gradient
    (Loshchilov & Hutter, 2019, algorithm 2); "lamb" adds it to the update before the ratio.

    Keras computes Adam in the form at the end of section 2 of the paper (Kingma & Ba, 2015), whose
    epsilon is added before the bias correction; PyTorch adds it after, which tells only where
    gradients are tiny.

    Args:
        name: one of ``OPTIMIZERS``.
        learning_rate: a number or a schedule of the step.
        weight_decay: at least 0; "adam" takes none.
        momentum: in [0, 1], of "sgd" and "lars".
        exclude: regular expressions, searched for in the weights' paths. What matches, and every
            weight of rank 1 or 0 besides, is neither decayed nor adapted layer by layer. Empty
            excludes nothing at all, as tensorflow-addons does unless told otherwise.
        trust_coefficient: above 0, of "lars".
        epsilon: added to the divisor; None for the published 1e-8, and 1e-6 for "lamb".

    Raises:
        SettingsError: if the name is unknown, a number is out of its range, or the optimizer
            does not take it.

    """
    if name not in OPTIMIZERS:
        raise SettingsError(f"unknown optimizer {name!r}: expected one of {', '.join(OPTIMIZERS)}")
    if weight_decay < 0:
        raise SettingsError(f"weight_decay must be at least 0, received {weight_decay}")
    if not trust_coefficient > 0:
        raise SettingsError(f"trust_coefficient must be above 0, received {trust_coefficient}")
    return OPTIMIZERS[name](
        _Settings(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            momentum=momentum,
            exclusion=Exclusion(tuple(exclude), vectors=bool(exclude)),
            trust_coefficient=trust_coefficient,
            epsilon=epsilon,
        )
    )
