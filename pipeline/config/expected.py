"""Expected results of recipes: measured metrics, with their range and how they were measured."""

from __future__ import annotations

from dataclasses import dataclass

from twofold.components.evaluation.metrics import describe, interval_text, value_text

# Of a title, what all accuracies have in common.
_HELD_OUT = ", held-out accuracy"


@dataclass(frozen=True)
class Protocol:
    """On what a recipe was measured, where it leaves that open.

    Attributes:
        data: the images, in words.
        settings: ``key=value``, those other than the recipe's own.

    """

    data: str = ""
    settings: tuple[str, ...] = ()


AS_IT_STANDS = Protocol()
PUBLIC_DSPRITES = Protocol(
    "the public subset of dSprites", ("data.source=npz", "data.path=dsprites_subset.npz")
)
CIFAR10_JPEG = Protocol("CIFAR-10 recompressed as quality-75 JPEG")
IMAGENETTE = Protocol("Imagenette at 96x96, 5,000 + 1,000 photographs of ten classes")


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
        published: what the recipe's source prints; None where it prints nothing.
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
        """Seeds where they are others than 0, what is published, and the note."""
        seeds = "" if self.seeds == (0,) else f"seeds {', '.join(map(str, self.seeds))}"
        published = "" if self.published is None else value_text(self.metric, self.published)
        parts = (seeds, published and f"published {published}", self.note)
        return "; ".join(part for part in parts if part)

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
