"""Settings of EMP-SSL."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.methods.settings import METHODS, ProjectorSettings
from twofold.components.settings import Widths


@METHODS.register
class EMPSSLSettings(ProjectorSettings):
    """Many patches of an image agree with their mean, and all spread out."""

    implementation: ClassVar[str] = "twofold.components.methods.redundancy.emp_ssl:EMPSSL"
    view_policies: ClassVar[int] = 1
    loss_of_batch: ClassVar[bool] = True
    name: Literal["emp_ssl"] = "emp_ssl"
    projector: Widths = Field((256,), description="widths of the layers; empty: identity")
    patches: int = Field(20, ge=2, description="of each image in a step")
    invariance: float = Field(200.0, ge=0.0, description="lambda, weight of the patches' agreement")
    squared_distortion: float = Field(0.2, gt=0.0, description="eps^2 of the coding rate")
