"""Alarm rules: what a training's metrics say of its health; each is a function of what it was told.

A rule is a small dataclass: its thresholds, and the few plain values that it remembers from one
check to the next, which a checkpoint holds (``STATE``). It imports nothing but numbers.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterator, Mapping
from typing import ClassVar, Protocol

# Of the loss, whose last so many points are its course.
COURSE = 20
# Fewer say nothing of how far a course scatters.
_LEAST = 8
# From the median of distances to a normal distribution's deviation (Hampel, 1974).
_OF_NORMAL = 1.4826
# Scatter that a course has at least, as a share of its median; its digits are not all that counts.
_LEAST_SCATTER = 0.005


@dataclasses.dataclass(frozen=True)
class Check:
    """What is known of a training at a point of its curves.

    Attributes:
        step: updates made.
        metrics: means over the steps since the last point, and what was measured at this one.
        starved: share of the time since the last point in which training waited for images.

    """

    step: int
    metrics: Mapping[str, float]
    starved: float = 0.0


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is wrong.

    Attributes:
        what: happened, in words, with the value and the threshold.
        value: that was found.
        threshold: that it was held to.
        advice: what a person may do.

    """

    what: str
    value: float
    threshold: float
    advice: str


class Rule(Protocol):
    """Finds one kind of thing wrong.

    Attributes:
        STATE: the fields that a checkpoint holds, of plain JSON values.

    """

    STATE: ClassVar[tuple[str, ...]]

    @property
    def suspicious(self) -> bool:
        """Whether something may be wrong at the last check, though not for long enough."""

    def check(self, now: Check) -> Finding | None:
        """Takes the next check; finds nothing again that lasts since it was found."""


@dataclasses.dataclass
class Streak:
    """Checks in a row that something lasts.

    Attributes:
        needed: until it is found.
        length: so far.

    """

    needed: int
    length: int = 0

    def take(self, ill: bool) -> bool:
        """Takes a check; tells whether it is the one that makes the streak long enough."""
        self.length = self.length + 1 if ill else 0
        return self.length == self.needed


@dataclasses.dataclass
class Collapse:
    """The features, or the projections, of all images become one point, or one line.

    Attributes:
        deviation: of unit features, times the root of their width, below which they have collapsed.
        rank: effective rank, likewise; None where few directions are what training is for, as with
            two classes (neural collapse; Papyan et al., 2020).
        uniformity: above which they have.
        checks: in a row.
        streak: of those so far.

    """

    STATE: ClassVar[tuple[str, ...]] = ("streak",)

    deviation: float
    rank: float | None
    uniformity: float
    checks: int
    streak: int = 0

    @property
    def suspicious(self) -> bool:
        """Whether the last measurement was of a collapse."""
        return self.streak > 0

    def check(self, now: Check) -> Finding | None:
        """Takes the next measurement, if there is one at this check."""
        if "feature_deviation" not in now.metrics:
            return None
        signs = [
            (what, *sign)
            for what in ("feature", "projection")
            for sign in self._signs(what, now.metrics)
        ]
        streak = Streak(self.checks, self.streak)
        found = streak.take(bool(signs))
        self.streak = streak.length
        if not found:
            return None
        what, name, value, threshold, side = signs[0]
        return Finding(
            what=f"the {what}s of all images are nearly the same: {name} {value:.3g}, {side} "
            f"{threshold:g}, at {self.checks} checks in a row",
            value=value,
            threshold=threshold,
            advice="a lower training.learning_rate, a warm-up, or what keeps this method from "
            "collapsing (negatives, a predictor, the weights of its terms)",
        )

    def _signs(
        self, what: str, metrics: Mapping[str, float]
    ) -> Iterator[tuple[str, float, float, str]]:
        """The measures that tell of a collapse: name, value, threshold, and on which side of it."""
        for name, lowest in (("deviation", self.deviation), ("effective_rank", self.rank)):
            value = metrics.get(f"{what}_{name}")
            # What is no number is nothing to be content with, either.
            if value is not None and lowest is not None and not value >= lowest:
                yield name.replace("_", " "), value, lowest, "below"
        value = metrics.get(f"{what}_uniformity")
        if value is not None and not value <= self.uniformity:
            yield "uniformity", value, self.uniformity, "above"


@dataclasses.dataclass
class LossSpike:
    """The loss leaves its course upwards: a Hampel identifier over its last points.

    Attributes:
        score: distance from the median that is a spike, in deviations by the median of distances.
        course: the last points but spikes.
        above: how long it has been above its course.

    """

    STATE: ClassVar[tuple[str, ...]] = ("course", "above")

    score: float
    course: list[float] = dataclasses.field(default_factory=list)
    above: int = 0

    @property
    def suspicious(self) -> bool:
        """Whether the last point was above the course."""
        return self.above > 0

    def check(self, now: Check) -> Finding | None:
        """Takes the next point; one that is no finite number is another alarm's."""
        loss = now.metrics["loss"]
        if not math.isfinite(loss):
            return None
        limit = self.limit()
        if limit is not None and loss > limit and self.above < COURSE:
            self.above += 1
            if self.above > 1:
                return None
            return Finding(
                what=f"the loss left its course of {statistics.median(self.course):.4g}: "
                f"{loss:.4g}, above {limit:.4g}",
                value=loss,
                threshold=limit,
                advice="a lower training.learning_rate, or training.clip_norm",
            )
        if self.above == COURSE:
            # It stays there: a course of its own.
            self.course.clear()
        self.above = 0
        self.course = [*self.course, loss][-COURSE:]
        return None

    def limit(self) -> float | None:
        """Gives the loss above which it is a spike; None while there is too little to go by.

        A course of zeros alone has no scale that anything could be held to.
        """
        if len(self.course) < _LEAST:
            return None
        middle = statistics.median(self.course)
        distance = statistics.median(abs(one - middle) for one in self.course)
        scatter = max(_OF_NORMAL * distance, _LEAST_SCATTER * abs(middle))
        return middle + self.score * scatter if scatter else None


@dataclasses.dataclass
class StalledProbe:
    """The online probe is no better than naming the most common class.

    Attributes:
        chance: the share of that class among the labelled training images.
        labelled: how many of these an epoch has.
        steps_per_epoch: updates an epoch.
        epochs: over which the accuracy is held to chance.
        updates: that this time has at least; a probe that begins needs some hundred.
        history: (step, accuracy) of the checks of that time.
        found: whether it was found and lasts.

    """

    STATE: ClassVar[tuple[str, ...]] = ("history", "found")

    chance: float
    labelled: int
    steps_per_epoch: int
    epochs: int
    updates: int = 200
    history: list[tuple[int, float]] = dataclasses.field(default_factory=list)
    found: bool = False

    @property
    def suspicious(self) -> bool:
        """Never: it takes epochs to say."""
        return False

    @property
    def span(self) -> int:
        """The steps over which the accuracy is held to chance."""
        return max(self.epochs * self.steps_per_epoch, self.updates)

    @property
    def threshold(self) -> float:
        """Chance and two standard errors of an accuracy at chance over that time."""
        seen = self.labelled * self.span / self.steps_per_epoch
        return self.chance + 2 * math.sqrt(self.chance * (1 - self.chance) / max(seen, 1))

    def check(self, now: Check) -> Finding | None:
        """Takes the next accuracy."""
        if "online_probe/accuracy" not in now.metrics:
            return None
        self.history.append((now.step, now.metrics["online_probe/accuracy"]))
        span = self.span
        self.history = [(step, one) for step, one in self.history if step > now.step - span]
        # Where so few images could not tell a probe that has learned from chance, or there is
        # hardly anything to learn, nothing is said.
        if now.step < span or self.threshold > (1 + self.chance) / 2 or self.chance > 0.9:
            return None
        accuracy = self._mean(now.step - span)
        before, self.found = self.found, accuracy <= self.threshold
        if before or not self.found:
            return None
        return Finding(
            what=f"the online probe has learned nothing in {span:,} steps: accuracy "
            f"{accuracy:.4g}, not above {self.threshold:.4g}, where naming the most common class "
            f"has {self.chance:.4g}",
            value=accuracy,
            threshold=self.threshold,
            advice="a look at the views (`twofold views`) and the labels, or another "
            "training.learning_rate",
        )

    def _mean(self, start: int) -> float:
        """The mean over steps: each accuracy is of the steps since the one before it."""
        steps = [start, *(step for step, _ in self.history)]
        lengths = [later - one for one, later in itertools.pairwise(steps)]
        weighted = (
            length * accuracy for length, (_, accuracy) in zip(lengths, self.history, strict=True)
        )
        return math.fsum(weighted) / max(sum(lengths), 1)


@dataclasses.dataclass
class StaleQueue:
    """A queue holds projections that are older than an epoch.

    Attributes:
        rows: of the queue.
        images_per_epoch: that are enqueued.
        batch_size: rows enqueued at a step.
        found: whether it was found, which it is once.

    """

    STATE: ClassVar[tuple[str, ...]] = ("found",)

    rows: int
    images_per_epoch: int
    batch_size: int
    found: bool = False

    @property
    def suspicious(self) -> bool:
        """Never: no earlier weights would be better."""
        return False

    def check(self, now: Check) -> Finding | None:
        """Counts what has been enqueued."""
        held = min(self.rows, now.step * self.batch_size)
        if self.found or held <= self.images_per_epoch:
            return None
        self.found = True
        return Finding(
            what=f"the queue is older than the data: it holds {held:,} of {self.rows:,} "
            f"projections, above the {self.images_per_epoch:,} images of an epoch, so that images "
            f"meet earlier projections of themselves",
            value=float(held),
            threshold=float(self.images_per_epoch),
            advice=f"method.queue_size of at most {self.images_per_epoch}",
        )


@dataclasses.dataclass
class Starvation:
    """Training waits for images.

    Attributes:
        share: of the time, above which it starves.
        checks: in a row.
        streak: of those so far; not part of a checkpoint, since it is the machine's.

    """

    STATE: ClassVar[tuple[str, ...]] = ()

    share: float
    checks: int
    streak: int = 0

    @property
    def suspicious(self) -> bool:
        """Never: it is nothing of the weights."""
        return False

    def check(self, now: Check) -> Finding | None:
        """Takes the share of the time since the last check."""
        streak = Streak(self.checks, self.streak)
        found = streak.take(now.starved > self.share)
        self.streak = streak.length
        if not found:
            return None
        return Finding(
            what=f"training waits for images: {now.starved:.0%} of the time, above "
            f"{self.share:.0%}, at {self.checks} checks in a row",
            value=now.starved,
            threshold=self.share,
            advice="data.cache=memory, a faster disk, or more processor cores",
        )


def name_terms(metrics: Mapping[str, float]) -> str:
    """Says which of a step's metrics are no finite numbers, the loss's own terms among them."""
    broken = [f"{name} {value:g}" for name, value in metrics.items() if not math.isfinite(value)]
    return ", ".join(sorted(broken))
