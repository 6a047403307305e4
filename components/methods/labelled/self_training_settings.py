"""Settings of self-training."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.methods.settings import METHODS, MethodSettings, TeacherSettings


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
    noise_layers: int = Field(2, ge=1, description="operations of RandAugment on the noisy view")
    noise_magnitude: int = Field(9, ge=0, le=30, description="their strength")
    temperature: float = Field(10.0, gt=0.0, description="T that both softmaxes are softened by")
    squared_temperature: bool = Field(False, description="multiply the agreement by T^2")
    confidence: float | None = Field(
        None,
        ge=0.0,
        le=1.0,
        description="the teacher's least probability for an image to count; null: no filter",
    )

    @property
    def teacher_stage(self) -> TeacherSettings:
        """The teacher that has to be trained first."""
        return self.teacher
