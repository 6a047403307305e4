"""Finite weights: a search for infinities and NaNs in what is trained, between checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from twofold.components.errors import TrainingDivergedError
from twofold.components.training.step import TrainState

_VARIABLES = (keras.Variable, tf.Variable)


def build_non_finite_search(state: TrainState) -> Callable[[], str | None]:
    """Builds a search for infinities and NaNs in what a checkpoint holds, but for ``state.extra``.

    One function of TensorFlow adds up the squares of all floating-point variables, which takes
    little beside a step; each is looked at on its own only where the sum is not finite.

    Args:
        state: built.

    Returns:
        A function that names a variable that is not finite; None where all are.

    """
    variables = weights_of(state)

    @tf.function(autograph=False)
    def finite() -> tf.Tensor:
        values = (tf.convert_to_tensor(variable) for variable in variables.values())
        return tf.math.is_finite(
            tf.add_n([tf.zeros([]), *(tf.cast(tf.nn.l2_loss(one), tf.float32) for one in values)])
        )

    def search() -> str | None:
        # The squares of finite values may overflow.
        return None if bool(finite()) else find_non_finite(variables)

    return search


def find_non_finite(variables: Mapping[str, Any]) -> str | None:
    """Names a floating-point variable that holds an infinity or a NaN; None where none does."""
    for name, variable in variables.items():
        if not bool(tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(variable)))):
            return name
    return None


def check_finite(variables: Mapping[str, Any], of: str) -> None:
    """Refuses weights that are not finite.

    Args:
        variables: of floating point, by name.
        of: what they are the weights of, for the message.

    Raises:
        TrainingDivergedError: naming one that is not.

    """
    name = find_non_finite(variables)
    if name is not None:
        raise TrainingDivergedError(
            f"the weights of {of} are no longer finite, and not kept ({name}): expected finite "
            f"numbers; a lower training.learning_rate may help"
        )


def weights_of(state: TrainState) -> dict[str, Any]:
    """Gives each floating-point variable of a checkpoint once, by a name for people.

    Those of ``state.extra`` are left out: monitors hold an infinity until they have observed
    something.
    """
    found: dict[int, tuple[str, Any]] = {}
    for owner, trackable in state.trackables.items():
        if owner in state.extra:
            continue
        for one in tf.train.TrackableView(trackable).descendants():
            if isinstance(one, _VARIABLES) and tf.as_dtype(one.dtype).is_floating:
                name = one.path if isinstance(one, keras.Variable) else one.name.partition(":")[0]
                found.setdefault(id(one), (f"{owner}: {name}", one))
    return dict(found.values())
