"""Where images come from and how they are prepared."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from twofold.components.settings import OffIsText, RangeWithEnds, Section, Share, Texts

Rules = Annotated[tuple[dict[str, RangeWithEnds], ...], Field(strict=False)]


class DataConfig(Section):
    """Where images come from and how they are prepared."""

    source: Literal["dsprites", "npz", "folder", "listing", "tfrecord", "tfds"] = "dsprites"
    path: Texts = Field(
        (), description="files or folders of the source, also gs://; none for dsprites and tfds"
    )
    images: int = Field(20_000, ge=1, description="dsprites: how many images to generate")
    image_field: str | None = Field(
        None,
        description="npz, tfds, tfrecord: the images; listing: the column of their paths; found by "
        "name or type if not given, as are the fields below",
    )
    label_field: str | None = Field(None, description="npz, listing, tfrecord, tfds: the labels")
    key_field: str | None = Field(None, description="listing, tfrecord: what names an image")
    split_field: str | None = Field(None, description="listing, tfrecord: train, val, test ...")
    group_field: str | None = Field(
        None, description="listing, tfrecord: what belongs in one split together"
    )
    weight_field: str | None = Field(None, description="listing, tfrecord: how often to draw it")
    class_names: Texts = Field((), description="npz, listing, tfrecord: names of labels 0, 1 ...")
    root: str | None = Field(None, description="listing: what its relative paths start from")
    group_pattern: str | None = Field(
        None,
        description="folder: a regular expression whose group, found in a key, is what belongs in "
        "one split together",
    )
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
    tfds_manual_dir: str | None = Field(
        None, description="tfds: where archives lie that you fetched; prepares from them"
    )
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
    training_rules: Rules = Field(
        (),
        description="train on images that meet one of them, each ranges of the label's number or "
        "of latents: [{label: [0, 0], posX: [0, 0.3]}, ...]; held-out images are not chosen",
    )
    training_images: int | None = Field(
        None, ge=2, description="train on so many, chosen by key; none: all"
    )
    training_seed: int = Field(0, ge=0, description="another number chooses others")
    sampling: Literal["uniform", "balanced", "weighted"] = Field(
        "uniform",
        description="training images: each once an epoch; drawn so that each class comes as often; "
        "or drawn by the weights that they were prepared with",
    )
    cache: Annotated[Literal["auto", "memory", "disk", "off"], OffIsText] = Field(
        "auto",
        description="where decoded images are kept; off: decoded whenever they are read; auto: in "
        "memory if they take a tenth of it, or on disk if they take half of what is free, or off",
    )
    licence: str | None = Field(
        None, description="of the images, for the card of the model; none: not stated"
    )
    max_reject_share: Share = Field(0.01, description="stop if more of the images cannot be used")
    images_per_shard: int = Field(2048, ge=1, description="a shard holds no more images")
    shard_bytes: int = Field(128 << 20, ge=1, description="nor more bytes of images")
    min_side: int = Field(4, ge=1, description="smaller images are rejected")
    max_pixels: int = Field(64_000_000, ge=1, description="larger images are rejected, undecoded")
    one_colour: Literal["reject", "keep"] = Field(
        "reject", description="images of which every pixel is the same"
    )
    other_formats: Literal["reject", "convert"] = Field(
        "reject", description="GIF, BMP, TIFF and WebP: still ones can be converted to PNG"
    )
    stored_as: Literal["source", "jpeg", "png", "raw"] = Field(
        "source", description="source keeps each file's bytes where they can be kept"
    )
    stored_size: int | None = Field(
        None, ge=1, description="larger images are stored with this shorter side in pixels"
    )
    jpeg_quality: int = Field(95, ge=1, le=100, description="of stored_as=jpeg")
    duplicates: Annotated[Literal["off", "exact", "near"], OffIsText] = Field(
        "near", description="what is searched for: equal pixels, or look-alikes, too"
    )
    near_duplicate_bits: int = Field(
        6, ge=0, le=12, description="of a perceptual hash's 64 in which look-alikes may differ"
    )
    on_duplicate: Literal["report", "remove"] = Field(
        "report", description="what to do about images that are alike in one split"
    )
    on_leakage: Literal["report", "remove"] = Field(
        "report", description="what to do about training images that resemble a held-out one"
    )

    @pydantic.field_validator("path", mode="before")
    @classmethod
    def _one_path_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _path_where_needed(self) -> DataConfig:
        if self.source in ("npz", "listing") and len(self.path) != 1:
            kind = {"npz": ".npz or .npy file", "listing": "CSV or Parquet file"}[self.source]
            raise ValueError(f"data.path must name one {kind}, received {list(self.path)}")
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
