"""Settings of the variational autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.encoders.convolutional.core_settings import (
    CoreSettings,
    mirrored_side,
    mirrored_sides,
)
from twofold.components.encoders.settings import EncoderSettings
from twofold.components.errors import SettingsError
from twofold.components.methods.settings import METHODS, MethodSettings
from twofold.components.training.settings import TrainingSettings
from twofold.components.transforms.settings import ViewsSettings


@METHODS.register
class VAESettings(MethodSettings):
    """The variational autoencoder."""

    implementation: ClassVar[str] = "twofold.components.methods.generative.vae:VAE"
    view_policies: ClassVar[int] = 1
    calls_encoder: ClassVar[bool] = False
    figures: ClassVar[tuple[str, ...]] = ("reconstructions",)
    name: Literal["vae"] = "vae"
    latent: int | None = Field(
        None,
        ge=1,
        description="width of a code with heads of its own on the features; null: the encoder's "
        "last dense layer is the code's mean, as published",
    )
    kl_weight: float = Field(1.0, ge=0.0, description="of the divergence; 1 is the paper's bound")

    def check(
        self, training: TrainingSettings, encoder: EncoderSettings, views: Sequence[ViewsSettings]
    ) -> None:
        """Refuses patches, and an encoder whose last layer cannot be the mean."""
        for view in views:
            if view.patch_side is not None:
                raise ValueError(
                    f"views.policy={view.policy}: method.name={self.name} rebuilds whole images, "
                    f"expected another"
                )
        if self.latent is None and encoder.last_dense_input is None:
            raise ValueError(
                f"method.latent=null: encoder.name={encoder.name} ends in no dense layer that "
                f"could be the mean of the code: expected a width, such as method.latent=84"
            )

    def check_image(self, encoder: EncoderSettings, height: int, width: int) -> None:
        """Refuses images that the encoder does not take, or of a size that cannot come back."""
        super().check_image(encoder, height, width)
        blocks = len(encoder.mirrored_filters or CoreSettings().filters)
        if any(mirrored_side(side, blocks) is None for side in (height, width)):
            raise SettingsError(
                f"method.name={self.name} rebuilds images by {blocks} convolutions: expected a "
                f"height and a width among {mirrored_sides(blocks)}, received {height}x{width}: "
                f"change data.image_size"
            )
