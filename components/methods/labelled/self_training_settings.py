"""Settings of self-training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pydantic
from pydantic import Field

from twofold.components.methods.settings import METHODS, MethodSettings, TeacherSettings
from twofold.components.transforms.consistency.consistency_views_settings import (
    TFModelsNoiseSettings,
)
from twofold.components.transforms.settings import AnyRandAugment


@METHODS.register
class SelfTrainingSettings(MethodSettings):
    """A teacher learns the labels, then a student on noisy views learns from both."""

    implementation: ClassVar[str] = "twofold.components.methods.labelled.self_training:SelfTraining"
    view_policies: ClassVar[int] = 1
    needs_labels: ClassVar[bool] = True
    classifies: ClassVar[bool] = True
    name: Literal["self_training"] = "self_training"
    teacher: TeacherSettings = Field(
        TeacherSettings(), description="the network that learns the labels first"
    )
    noise: AnyRandAugment = Field(
        TFModelsNoiseSettings(), description="RandAugment of the student's view"
    )
    crops: Literal["shared", "own"] = Field(
        "shared",
        description="whether the student's noise is added to the teacher's view, or to another "
        "drawn by the same policy",
    )
    temperature: float = Field(10.0, gt=0.0, description="T that both softmaxes are softened by")
    squared_temperature: bool = Field(False, description="multiply the agreement by T^2")
    confidence: float | None = Field(
        None,
        ge=0.0,
        le=1.0,
        description="the teacher's least probability for an image to count; null: no filter",
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _name_the_noise(cls, values: Any) -> Any:
        """Reads configurations of when there was torchvision's RandAugment alone."""
        if not isinstance(values, Mapping) or "noise" in values:
            return values
        former = {"noise_layers": "layers", "noise_magnitude": "magnitude"}
        given = {name: values[key] for key, name in former.items() if key in values}
        if not given:
            return values
        kept = {key: value for key, value in values.items() if key not in former}
        return {**kept, "noise": {"name": "randaugment_torchvision", **given}}

    @property
    def teacher_stage(self) -> TeacherSettings:
        """The teacher that has to be trained first."""
        return self.teacher
