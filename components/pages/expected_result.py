"""Expected result of a recipe beside the one found: a row of run and study pages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExpectedResult:
    """What a recipe's metric was measured to be, beside what was found.

    Attributes:
        title: what the metric is.
        expected: its value with its range.
        remarks: seeds, what is published, and the like.
        found: the value of the run or study; None where it has none.
        within: whether that lies in the range; None where that is not known.

    """

    title: str
    expected: str
    remarks: str
    found: str | None
    within: bool | None
