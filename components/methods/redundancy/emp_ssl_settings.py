"""Settings of EMP-SSL."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.methods.automatic import Choice, TrainingSize
from twofold.components.methods.settings import METHODS, HiddenNorm, ProjectorSettings
from twofold.components.settings import Widths

_WIDEST = 4096


@METHODS.register
class EMPSSLSettings(ProjectorSettings):
    """Many patches of an image agree with their mean, and all spread out.

    Defaults are those of Tong et al. (2023), section 3: 20 patches, lambda 200 and eps^2 0.2. The
    projector is that of the authors' code (``model/model.py``), on features of 4,096: a hidden
    layer of 4,096, batch-normalised, and 1,024 numbers.
    """

    implementation: ClassVar[str] = "twofold.components.methods.redundancy.emp_ssl:EMPSSL"
    view_policies: ClassVar[int] = 1
    loss_of_batch: ClassVar[bool] = True
    name: Literal["emp_ssl"] = "emp_ssl"
    projector: Widths | None = Field(
        None,
        description="widths of the layers; empty: identity; null: as wide as the features, at most "
        "4,096, then a quarter of that, as in the code of Tong et al., 2023",
    )
    projector_batch_norm: HiddenNorm = True
    patches: int = Field(20, ge=2, description="of each image in a step")
    invariance: float = Field(200.0, ge=0.0, description="lambda, weight of the patches' agreement")
    squared_distortion: float = Field(0.2, gt=0.0, description="eps^2 of the coding rate")

    def paper_projector(self, size: TrainingSize) -> Choice:
        """Gives two layers, the first as wide as the features and the second a quarter of that."""
        width = min(_WIDEST, size.features)
        return Choice(
            "projector",
            (width, max(1, width // 4)),
            f"as wide as the encoder's {size.features:,} features, at most {_WIDEST:,}, then a "
            f"quarter of that (code of Tong et al., 2023)",
        )
