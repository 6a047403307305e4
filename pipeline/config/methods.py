"""The methods that a run can train by."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from twofold.components.settings import Section, Widths
from twofold.components.training.settings import TrainingSettings
from twofold.pipeline.config.encoders import EncoderConfig


def _negatives(value: Any) -> str | int:
    if value in ("all", "other_view"):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise PydanticCustomError(
        "negatives", 'Input should be "all", "other_view" or a whole number above 0'
    )


class _ProjectorConfig(Section):
    name: str
    projector: Widths = Field((128, 128), description="widths of the layers; empty: identity")
    projector_batch_norm: bool = Field(False, description="after each layer but the last")


class SimCLRConfig(_ProjectorConfig):
    """NT-Xent over 2N views."""

    name: Literal["simclr"] = "simclr"
    projector: Widths = Field((), description="widths of the layers; empty: identity")
    temperature: float = Field(0.5, gt=0.0)
    negatives: Annotated[str | int, PlainValidator(_negatives)] = Field(
        "all", description="all: of both views; other_view; or how many random ones an anchor has"
    )


class NNCLRConfig(_ProjectorConfig):
    """A nearest neighbour in a queue is the positive."""

    name: Literal["nnclr"] = "nnclr"
    temperature: float = Field(0.1, gt=0.0)
    queue_size: int = Field(10_000, ge=1)


class MoCoConfig(_ProjectorConfig):
    """A momentum encoder's queue holds the negatives (version 2)."""

    name: Literal["moco"] = "moco"
    temperature: float = Field(0.2, gt=0.0)
    queue_size: int = Field(65_536, ge=1)
    momentum: float = Field(0.999, ge=0.0, le=1.0)


class BarlowTwinsConfig(_ProjectorConfig):
    """The cross-correlation of two views becomes the identity."""

    name: Literal["barlow_twins"] = "barlow_twins"
    projector: Widths = (5000, 5000, 5000)
    projector_batch_norm: bool = True
    off_diagonal: float = Field(0.005, ge=0.0)


class VICRegConfig(_ProjectorConfig):
    """Variance, invariance and covariance."""

    name: Literal["vicreg"] = "vicreg"
    projector: Widths = (2048, 2048, 2048)
    projector_batch_norm: bool = True
    invariance: float = Field(25.0, ge=0.0)
    variance: float = Field(25.0, ge=0.0)
    covariance: float = Field(1.0, ge=0.0)


class BYOLConfig(_ProjectorConfig):
    """A predictor foretells a momentum encoder."""

    name: Literal["byol"] = "byol"
    projector: Widths = (4096, 256)
    projector_batch_norm: bool = True
    predictor: Widths = Field((4096,), description="widths of its hidden layers")
    momentum: float = Field(0.996, ge=0.0, le=1.0, description="at the start; 1 at the end")


class SimSiamConfig(_ProjectorConfig):
    """A predictor foretells the other view, whose gradient is stopped."""

    name: Literal["simsiam"] = "simsiam"
    projector: Widths = (2048, 2048, 2048)
    projector_batch_norm: bool = True
    predictor: Widths = Field((512,), description="widths of its hidden layers")


class EMPSSLConfig(_ProjectorConfig):
    """Many patches of an image agree with their mean, and all spread out."""

    name: Literal["emp_ssl"] = "emp_ssl"
    projector: Widths = (256,)
    patches: int = Field(20, ge=2, description="of each image in a step")
    invariance: float = Field(200.0, ge=0.0)
    squared_distortion: float = Field(0.2, gt=0.0)


class KMeansConfig(Section):
    """A dictionary of whitened patches; for the encoder patch_dictionary."""

    name: Literal["k_means"] = "k_means"
    patches: int = Field(32, ge=1, description="of each image in a step")
    whitening_epsilon: float = Field(
        0.1, gt=0.0, description="added to the variance along each axis before dividing by its root"
    )


class VAEConfig(Section):
    """The variational autoencoder."""

    name: Literal["vae"] = "vae"
    latent: int = Field(84, ge=1, description="width of the code")
    kl_weight: float = Field(1.0, ge=0.0)


class SupervisedConfig(Section):
    """Labels alone: the baseline."""

    name: Literal["supervised"] = "supervised"


class RandomConfig(Section):
    """No training at all: the encoder's first weights, a baseline for measures."""

    name: Literal["random"] = "random"


class TeacherConfig(Section):
    """The supervised teacher of self-training."""

    encoder: EncoderConfig | None = Field(None, description="none: as the student's")
    training: TrainingSettings = TrainingSettings()


class SelfTrainingConfig(Section):
    """A teacher learns the labels, then a student on noisy views learns from both."""

    name: Literal["self_training"] = "self_training"
    teacher: TeacherConfig = TeacherConfig()
    noise_layers: int = Field(2, ge=1, description="operations of RandAugment on the noisy view")
    noise_magnitude: int = Field(9, ge=0, le=30)
    temperature: float = Field(10.0, gt=0.0)
    squared_temperature: bool = Field(False, description="multiply the agreement by T^2")
    confidence: float | None = Field(
        None, ge=0.0, le=1.0, description="the teacher's least probability; none: no filter"
    )


MethodConfig = Annotated[
    SimCLRConfig
    | NNCLRConfig
    | MoCoConfig
    | BarlowTwinsConfig
    | VICRegConfig
    | BYOLConfig
    | SimSiamConfig
    | EMPSSLConfig
    | KMeansConfig
    | VAEConfig
    | SupervisedConfig
    | RandomConfig
    | SelfTrainingConfig,
    Field(discriminator="name"),
]
