"""Settings of supervised training."""

from __future__ import annotations

from typing import ClassVar, Literal

from twofold.components.methods.settings import METHODS, MethodSettings


@METHODS.register
class SupervisedSettings(MethodSettings):
    """Labels alone: the baseline."""

    implementation: ClassVar[str] = "twofold.components.methods.labelled.supervised:Supervised"
    view_policies: ClassVar[int] = 1
    needs_labels: ClassVar[bool] = True
    labelled_only: ClassVar[bool] = True
    classifies: ClassVar[bool] = True
    name: Literal["supervised"] = "supervised"
