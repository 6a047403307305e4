"""Fine-tuning as a measure: what an encoder is worth as the start of training with labels."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras

from twofold.components import files
from twofold.components.errors import EvaluationError
from twofold.components.evaluation.confidence_intervals import accuracy_metrics
from twofold.components.evaluation.probes.label_fractions import MeanInterval, t_interval
from twofold.components.evaluation.probes.linear_probe import LinearProbe

_RESULT = "result.json"


@dataclass(frozen=True)
class Tuned:
    """What a finished fine-tuning gets right, held out.

    Attributes:
        total: held-out images with a label.
        correct: of these, with the weights of the last epoch.
        best_correct: with those of the epoch that a validation split liked best; None where there
            is no such split, since the held-out images themselves must not choose.

    """

    total: int
    correct: int
    best_correct: int | None = None

    @property
    def accuracy(self) -> float:
        """Share of the held-out images, with the weights of the last epoch."""
        return self.correct / self.total

    def metrics(self, prefix: str) -> dict[str, float]:
        """Accuracies and the bounds of their 95 % intervals, by name."""
        found: dict[str, float] = {}
        counts = {"test_accuracy": self.correct, "best_test_accuracy": self.best_correct}
        for name, correct in counts.items():
            if correct is not None:
                found |= accuracy_metrics(f"{prefix}/{name}", correct, self.total)
        return found


def write_result(folder: Path, tuned: Tuned) -> None:
    """Writes a result into a folder, whole or not at all."""
    files.write_json(folder / _RESULT, asdict(tuned))


def read_result(folder: Path) -> Tuned | None:
    """Reads what ``write_result`` wrote; None where there is nothing, or nothing of that kind."""
    try:
        return Tuned(**json.loads((folder / _RESULT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def epochs_for(share: float, epochs: int) -> int:
    """How long to train on a share of the labels: ceil(epochs / sqrt(share)).

    The rule of the Neuromatch self-supervision tutorial for its classifiers: a tenth of the labels
    is seen 3.2 times as often, in a third of the steps, so that few labels are not measured by too
    few updates.
    """
    return math.ceil(epochs / math.sqrt(share) - 1e-9)


def start_head(head: keras.Model, probe: LinearProbe) -> None:
    """Gives a linear head the weights of a linear probe.

    Raises:
        EvaluationError: if they are of other shapes.

    """
    shapes = [tuple(variable.shape) for variable in head.trainable_variables]
    given = [probe.weights.shape, probe.bias.shape]
    if shapes != given:
        raise EvaluationError(
            f"The head has weights of shapes {shapes}, but the linear probe of {given}."
        )
    for variable, value in zip(head.trainable_variables, (probe.weights, probe.bias), strict=True):
        variable.assign(value)


def fraction_metrics(
    prefix: str, tuned: Mapping[float, Sequence[Tuned]]
) -> tuple[dict[float, MeanInterval], dict[str, float]]:
    """Means over the draws of each share of the labels, by share and as metrics by name."""
    curve = {share: t_interval([one.accuracy for one in draws]) for share, draws in tuned.items()}
    metrics: dict[str, float] = {}
    for share, (mean, low, high) in curve.items():
        name = f"{prefix}/{share:g}/test_accuracy"
        metrics |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return curve, metrics
