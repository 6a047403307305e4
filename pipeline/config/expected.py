"""Expected results of recipes: measured metrics, with their range and how they were measured."""

from __future__ import annotations

from dataclasses import dataclass

from twofold.components.evaluation.metrics import describe, interval_text, value_text

# Of a title, what all accuracies have in common.
_HELD_OUT = ", held-out accuracy"
# What is to be held against the same encoder with its first weights.
_OF_THE_ENCODER = (
    "linear_probe/test_accuracy",
    "recipe_probe/test_accuracy",
    "knn/test_accuracy",
)


@dataclass(frozen=True)
class Protocol:
    """On what a recipe was measured, where it leaves that open.

    Attributes:
        data: the images, in words.
        settings: ``key=value``, those other than the recipe's own.
        held_out: how many held-out images that data has; None where the recipe says which images.

    """

    data: str = ""
    settings: tuple[str, ...] = ()
    held_out: int | None = None


AS_IT_STANDS = Protocol()
PUBLIC_DSPRITES = Protocol(
    "the public subset of dSprites", ("data.source=npz", "data.path=dsprites_subset.npz")
)
CIFAR10_JPEG = Protocol("CIFAR-10 recompressed as quality-75 JPEG", held_out=10_000)
IMAGENETTE = Protocol(
    "Imagenette at 96x96, 5,000 + 1,000 photographs of ten classes", held_out=1_000
)


@dataclass(frozen=True)
class Expected:
    """What a recipe's metric was measured to be.

    Attributes:
        metric: its name in ``metrics.json``.
        value: the mean of all that was measured, a share in [0, 1] where the metric is one; None
            where it was not measured yet.
        low: the lowest value measured; of a single run, the lower bound of its 95 % interval; None
            where that is not known.
        high: likewise the highest.
        seeds: that were run.
        published: what the recipe's source prints, measured as this was: by its probe, not by
            another; None where it prints nothing.
        untrained: likewise of the same encoder with its first weights, one value or the lowest and
            highest; None where that was not measured.
        tuned: whether the recipe's settings were chosen on the images that are reported, which
            makes the value too high.
        protocol: on which data.
        settings: ``key=value``, those other than the recipe's and the protocol's own.
        note: what else a reader should know.

    """

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    seeds: tuple[int, ...] = (0,)
    published: float | None = None
    untrained: tuple[float, ...] | None = None
    tuned: bool = False
    protocol: Protocol = AS_IT_STANDS
    settings: tuple[str, ...] = ()
    note: str = ""

    @property
    def title(self) -> str:
        """What the metric is, in a few words."""
        return describe(self.metric).title.removesuffix(_HELD_OUT)

    @property
    def text(self) -> str:
        """The value with its range."""
        if self.value is None:
            return "not yet measured"
        text = value_text(self.metric, self.value)
        if self.low is None or self.high is None or self.low == self.high:
            return text
        return f"{text} ({interval_text(self.metric, self.low, self.high)})"

    @property
    def remarks(self) -> str:
        """How it was measured, what it is to be held against, and the note."""
        parts = [
            f"seed{'s' if len(self.seeds) > 1 else ''} {', '.join(map(str, self.seeds))}",
            " ".join(f"--set {setting}" for setting in self.settings),
            self._untrained(),
            ""
            if self.published is None
            else f"published {value_text(self.metric, self.published)}",
            "settings tuned on the reported images" if self.tuned else "",
            self.note,
        ]
        if self.value is None:
            parts[0] = ""
        return "; ".join(part for part in parts if part)

    def _untrained(self) -> str:
        if self.untrained is not None:
            return f"untrained {' to '.join(value_text(self.metric, x) for x in self.untrained)}"
        measured = self.value is not None and self.metric in _OF_THE_ENCODER
        return "untrained not measured" if measured else ""

    @property
    def sentence(self) -> str:
        """All of it in a line."""
        return f"{self.title}: {self.text}" + (f"; {self.remarks}" if self.remarks else "")

    def holds(self, value: float) -> bool | None:
        """Tells whether a value lies in the range; None where there is no range.

        The bounds are rounded, so the value is rounded to as many digits before it is held to them.
        """
        if self.low is None or self.high is None:
            return None
        not_lower = round(value, _digits(self.low)) >= self.low
        return not_lower and round(value, _digits(self.high)) <= self.high


def _digits(bound: float) -> int:
    """How many digits after the point a bound was written with, at least a tenth of a per cent."""
    return max(3, len(str(bound).partition(".")[2]))
