"""Alarm watch: lets rules look at a training, and says what becomes of it when one finds a fault.

Nothing here needs TensorFlow; the loop does what it is told.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from twofold.components.training.alarms.rules import Check, Finding, Rule

Action = Literal["warn", "stop", "rollback"]
# The alarm of a loss, or a weight, that is no finite number.
DIVERGENCE = "divergence"
# Reading the metrics of a step that is in flight also waits for the step.
_BUSY = 0.1


@dataclasses.dataclass(frozen=True)
class Alarm:
    """An alarm that was raised.

    Attributes:
        name: of the alarm, as its setting is called.
        step: updates made.
        action: what was done about it.
        message: what happened, with value and threshold, and what to do, in one line.
        value: that was found, where it is a finite number.
        threshold: that it was held to, where there is one.
        rolled_back_to: the step that training went on from; None where it was not rolled back.

    """

    name: str
    step: int
    action: Action
    message: str
    value: float | None = None
    threshold: float | None = None
    rolled_back_to: int | None = None

    @property
    def line(self) -> str:
        """Describes it to a person."""
        line = f"alarm {self.name} at step {self.step:,}: {self.message}"
        if self.rolled_back_to is None:
            return line
        return (
            f"{line}; training goes on from step {self.rolled_back_to:,}, at a lower learning rate"
        )


@dataclasses.dataclass(frozen=True)
class Watched:
    """A rule, and what is done when it finds something."""

    rule: Rule
    action: Action


def _unheard(alarm: Alarm) -> None:
    """Tells nobody."""


class AlarmWatch:
    """The alarms of one training.

    Args:
        watched: rules by the names of their alarms.
        on_divergence: what is done about a loss or a weight that is no finite number.
        measure: gives further metrics at a check; None for none.
        measured: tells of a step, and of whether an epoch ends with it, whether ``measure`` is due.
        told: called with each alarm as it is raised.
        rollback_rate: what a rollback multiplies the learning rate by.

    Attributes:
        raised: all alarms so far, of earlier attempts, too.
        healthy_step: the last step at which no rule found or suspected anything.
        rolled_back: whether training was rolled back, which it is once.

    """

    def __init__(
        self,
        watched: Mapping[str, Watched] | None = None,
        on_divergence: Action = "stop",
        measure: Callable[[], Mapping[str, float]] | None = None,
        measured: Callable[[int, bool], bool] = lambda step, epoch_ends: False,
        told: Callable[[Alarm], None] = _unheard,
        rollback_rate: float = 0.1,
    ) -> None:
        self._watched = dict(watched or {})
        self._on_divergence = on_divergence
        self._measure, self._measured = measure, measured
        self.told, self.rollback_rate = told, rollback_rate
        self.raised: list[Alarm] = []
        self.healthy_step = 0
        self.rolled_back = False
        self._waited = self._computed = self._synchronised = 0.0

    @property
    def may_roll_back(self) -> bool:
        """Whether an alarm would roll training back."""
        actions = [self._on_divergence, *(one.action for one in self._watched.values())]
        return "rollback" in actions and not self.rolled_back

    def timed(
        self, *, waited: float = 0.0, computed: float = 0.0, synchronised: float = 0.0
    ) -> None:
        """Takes seconds in which training waited for images, made steps, and waited for these."""
        self._waited += waited
        self._computed += computed
        self._synchronised += synchronised

    def measure(self, step: int, epoch_ends: bool) -> Mapping[str, float]:
        """Gives what is measured for the alarms after a step; empty where nothing is due."""
        if self._measure is None or not self._measured(step, epoch_ends):
            return {}
        return self._measure()

    def check(self, step: int, metrics: Mapping[str, float]) -> Alarm | None:
        """Lets all rules look at a point of the curves.

        Returns:
            The first alarm because of which training cannot go on, which is to be given to
            ``roll_back`` or ``stop``; others are raised here.

        """
        now = Check(step, metrics, self._starved())
        found = [(name, one, one.rule.check(now)) for name, one in self._watched.items()]
        if not any(finding or one.rule.suspicious for _, one, finding in found):
            self.healthy_step = step
        halting = None
        for name, one, finding in found:
            if finding is None:
                continue
            alarm = self._alarm(name, step, one.action, finding)
            if alarm.action != "warn" and halting is None:
                halting = alarm
            else:
                self._raise(alarm)
        return halting

    def diverged(self, step: int, message: str) -> Alarm:
        """Gives the alarm of a loss or weight that is no finite number, as ``check`` does."""
        finding = Finding(message, math.nan, math.nan, "")
        return self._alarm(DIVERGENCE, step, self._on_divergence, finding)

    def stopped(self) -> Alarm | None:
        """Gives the alarm that stopped an earlier attempt, if it would do so now."""
        last = self.raised[-1] if self.raised else None
        if last is None or last.action != "stop" or last.name not in self._watched:
            return None
        return last if self._watched[last.name].action != "warn" else None

    def roll_back(self, alarm: Alarm, to: int) -> None:
        """Notes that training goes on from an earlier step."""
        self.rolled_back = True
        self._raise(dataclasses.replace(alarm, rolled_back_to=to))

    def stop(self, alarm: Alarm) -> Alarm:
        """Notes that training ends; returns the alarm as it is known from then on."""
        ended = dataclasses.replace(alarm, action="stop")
        self._raise(ended)
        return ended

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint holds, as plain JSON values."""
        return {
            "raised": [dataclasses.asdict(alarm) for alarm in self.raised],
            "healthy_step": self.healthy_step,
            "rolled_back": self.rolled_back,
            "rules": {
                name: {field: getattr(one.rule, field) for field in one.rule.STATE}
                for name, one in self._watched.items()
            },
        }

    def resume(self, state: Mapping[str, Any], *, rules_only: bool = False) -> None:
        """Takes up what ``state`` returned; what it knows nothing of begins anew.

        Args:
            state: of a checkpoint; empty of one of an earlier version.
            rules_only: whether what was raised since then stays known.

        """
        if not rules_only:
            self.raised = [Alarm(**alarm) for alarm in state.get("raised", ())]
            self.rolled_back = bool(state.get("rolled_back", False))
        self.healthy_step = int(state.get("healthy_step", 0))
        for name, values in state.get("rules", {}).items():
            if name in self._watched:
                for field, value in values.items():
                    setattr(self._watched[name].rule, field, _copy(value))

    def _alarm(self, name: str, step: int, action: Action, finding: Finding) -> Alarm:
        spent = action == "rollback" and self.rolled_back
        advice = f"; expected {finding.advice}" if finding.advice else ""
        if finding.advice and (spent or action == "stop"):
            advice += f"; training.alarms.{name}=warn goes on from here"
        return Alarm(
            name=name,
            step=step,
            action="stop" if spent else action,
            message=f"{finding.what}{advice}",
            value=finding.value if math.isfinite(finding.value) else None,
            threshold=finding.threshold if math.isfinite(finding.threshold) else None,
        )

    def _raise(self, alarm: Alarm) -> None:
        self.raised.append(alarm)
        self.told(alarm)

    def _starved(self) -> float:
        """The share of the time since the last check in which training waited for images."""
        whole = self._waited + self._computed + self._synchronised
        waited, synchronised = self._waited, self._synchronised
        self._waited = self._computed = self._synchronised = 0.0
        # A device that is behind its host has all the images that it can take.
        return 0.0 if whole <= 0 or synchronised > _BUSY * whole else waited / whole


def _copy(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [tuple(one) if isinstance(one, list) else one for one in value]
    return value
