"""Settings of the variational autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.encoders.settings import EncoderSettings
from twofold.components.methods.settings import METHODS, MethodSettings
from twofold.components.training.settings import TrainingSettings
from twofold.components.transforms.settings import ViewsSettings


@METHODS.register
class VAESettings(MethodSettings):
    """The variational autoencoder."""

    implementation: ClassVar[str] = "twofold.components.methods.generative.vae:VAE"
    view_policies: ClassVar[int] = 1
    figures: ClassVar[tuple[str, ...]] = ("reconstructions",)
    name: Literal["vae"] = "vae"
    latent: int = Field(84, ge=1, description="width of the code")
    kl_weight: float = Field(1.0, ge=0.0, description="of the divergence; 1 is the paper's bound")

    def check(
        self, training: TrainingSettings, encoder: EncoderSettings, views: Sequence[ViewsSettings]
    ) -> None:
        """Refuses patches."""
        for view in views:
            if view.patch_side is not None:
                raise ValueError(
                    f"views.policy={view.policy}: method.name={self.name} rebuilds whole images, "
                    f"expected another"
                )
