"""Settings of k-means of patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.encoders.settings import ENCODERS, EncoderSettings
from twofold.components.methods.settings import METHODS, MethodSettings
from twofold.components.training.settings import TrainingSettings
from twofold.components.transforms.settings import ViewsSettings


@METHODS.register
class KMeansSettings(MethodSettings):
    """A dictionary of whitened patches; for an encoder that has one."""

    implementation: ClassVar[str] = "twofold.components.methods.generative.k_means:KMeans"
    view_policies: ClassVar[int] = 1
    calls_encoder: ClassVar[bool] = False
    figures: ClassVar[tuple[str, ...]] = ("dictionary",)
    loss_of_batch: ClassVar[bool] = True
    name: Literal["k_means"] = "k_means"
    patches: int = Field(32, ge=1, description="of each image in a step")
    whitening_epsilon: float = Field(
        0.1,
        gt=0.0,
        description="added to the variance along each axis before dividing by its root",
    )

    def check(
        self, training: TrainingSettings, encoder: EncoderSettings, views: Sequence[ViewsSettings]
    ) -> None:
        """Refuses an encoder without a dictionary."""
        if not encoder.learns_dictionary:
            known = " or ".join(name for name in ENCODERS if ENCODERS[name].learns_dictionary)
            raise ValueError(
                f"method.name={self.name} learns a dictionary of patches: expected "
                f"encoder.name={known}, received {encoder.name}"
            )
