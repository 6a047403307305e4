"""Where images come from and how they are prepared."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from pipeline.config.section import Section, Share, Texts


class DataConfig(Section):
    """Where images come from and how they are prepared."""

    source: Literal["dsprites", "npz", "folder", "tfds"] = "dsprites"
    path: Texts = Field((), description="files or folders of the source; none for dsprites")
    images: int = Field(20_000, ge=1, description="dsprites: how many images to generate")
    image_field: str | None = Field(
        None, description="npz, tfds: the images; found by name or type if not given"
    )
    label_field: str | None = Field(None, description="npz, tfds: the labels")
    latents_field: str | None = Field(None, description="npz: array of latents")
    latent_names: Texts = Field((), description="npz: names of the latents' columns")
    label_latent: str | None = Field(None, description="npz: the latent that is the label")
    tfds_name: str | None = Field(
        None, description="tfds: cifar10, name/config:1.0.0, or the folder of a prepared one"
    )
    tfds_dir: str | None = Field(
        None, description="tfds: where data sets are prepared; none: TensorFlow Datasets' own"
    )
    tfds_splits: Texts = Field((), description="tfds: which splits; none: all")
    tfds_download: bool = Field(False, description="tfds: fetch and prepare what is not there")
    image_size: int | None = Field(
        None, ge=8, description="side in pixels of what the encoder sees; none: the images' own"
    )
    test_share: float = Field(
        0.2, ge=0.0, lt=1.0, description="held out by key, if the source has no split of its own"
    )
    split_seed: int = Field(0, ge=0, description="another number gives another split")
    validation_share: float = Field(
        0.0, ge=0.0, lt=1.0, description="of the training images, held out by key to choose by"
    )
    label_share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0, description="of the training labels, class by class, that are used"
    )
    label_seed: int = Field(0, ge=0, description="another number keeps other labels")
    max_reject_share: Share = Field(0.01, description="stop if more of the images cannot be read")
    images_per_shard: int = Field(2048, ge=1)

    @pydantic.field_validator("path", mode="before")
    @classmethod
    def _one_path_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _path_where_needed(self) -> DataConfig:
        if self.source == "npz" and len(self.path) != 1:
            raise ValueError(f"data.path must name one .npz file, received {list(self.path)}")
        if self.source in ("dsprites", "tfds") and self.path:
            raise ValueError(
                f"data.path must be empty for data.source={self.source}, received {list(self.path)}"
            )
        if self.source == "tfds" and self.tfds_name is None:
            raise ValueError(
                "data.source=tfds needs data.tfds_name: a data set's name such as cifar10, or the "
                "folder of one that is prepared"
            )
        return self
