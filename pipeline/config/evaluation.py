"""Evaluation settings: which measures are taken of an encoder, and how."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import pydantic
from pydantic import Field

from twofold.components.settings import OffIsText, Section, Widths, local_only
from twofold.components.transforms.settings import AnyViews

Measure = Literal["alignment", "calibration", "clustering", "confusion", "retrieval", "uniformity"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

Measures = Annotated[tuple[Measure, ...], Field(strict=False)]
Baselines = Annotated[tuple[Literal["projector", "pixels", "random"], ...], Field(strict=False)]
Strengths = Annotated[tuple[Annotated[float, Field(gt=0.0)], ...], Field(strict=False)]
Fractions = Annotated[tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...], Field(strict=False)]
Severities = Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(strict=False)]
_CorruptedFolder = Annotated[str, local_only("evaluation.corrupted_tfds")]
_BaselineFolder = Annotated[str, local_only("evaluation.robustness_baseline")]


class EvaluationConfig(Section):
    """Measures of the encoder."""

    probe_epochs: int = Field(10, ge=1, description="epochs of the recipe's linear probe")
    probe_schedule_epochs: int | None = Field(
        100,
        ge=1,
        description="epochs in which its rate falls to 0 by a cosine, to rise again after them as "
        "in PyTorch; null: a constant rate",
    )
    probe_learning_rate: float = Field(1e-3, gt=0.0, description="its learning rate")
    probe_batch_size: int = Field(1000, ge=1, description="its images a step")
    probe_last_batch: Literal["keep", "drop"] = Field(
        "keep", description="whether it takes the images that fill no batch, too"
    )
    probe_optimizer: Literal["adam", "lamb"] = Field("adam", description="what trains it")
    probe_penalty: float = Field(
        0.0, ge=0.0, description="factor on the sum of its squared weights, added to its loss"
    )
    probe_initializer: Literal["pytorch", "keras"] = Field(
        "pytorch", description="its first weights: of PyTorch, or of Keras (Glorot, bias 0)"
    )
    probe_reads: Literal["features", "projections"] = Field(
        "features", description="what it classifies: the encoder's output, or the projector's"
    )
    regularisation: float = Field(
        1.0, gt=0.0, description="inverse strength of the logistic regression, scikit-learn's C"
    )
    regularisation_sweep: Strengths = Field(
        (0.01, 0.1, 10.0, 100.0), description="more of them, the best of all on validation images"
    )
    neighbours: int = Field(20, ge=1, description="k of kNN")
    neighbour_sweep: Widths = Field(
        (5, 10, 50, 100, 200), description="more of them, the best of all on validation images"
    )
    neighbour_temperature: float = Field(
        0.07, gt=0.0, description="what kNN divides cosines by before it weights the votes"
    )
    rsm_images: int | None = Field(
        600, ge=2, description="held-out images in the similarity matrix; null: all"
    )
    rsm_latent: str | None = Field(
        None, description="latent to sort it by; null: the class, or the first latent"
    )
    measures: Measures = Field(MEASURES, description="what else to measure")
    measured_images: int = Field(
        10_000, ge=2, description="most held-out images for clusters, retrieval and uniformity"
    )
    baselines: Baselines = Field((), description="what else gets a linear probe")
    label_fractions: Fractions = Field((), description="shares of the labels for a linear probe")
    label_fraction_seeds: int = Field(3, ge=2, description="times that each share is drawn")
    finetune_epochs: int | None = Field(
        None, ge=1, description="epochs of training the encoder on with labels; null: none"
    )
    finetune_from_scratch: bool = Field(
        False, description="train the same network from its first weights, too, to compare"
    )
    finetune_learning_rate: float = Field(
        1e-3, gt=0.0, description="learning rate of fine-tuning, of Adam"
    )
    finetune_batch_size: int = Field(64, ge=2, description="images a step of fine-tuning")
    finetune_views: AnyViews | None = Field(
        None, description="null: as probe_views, and without those the image as it is"
    )
    finetune_layer_decay: float | None = Field(
        None,
        gt=0.0,
        le=1.0,
        description="factor on the rate from each block of the encoder to the one below it, such "
        "as 0.75; null: one rate for all",
    )
    finetune_head: Literal["new", "linear_probe"] = Field(
        "new", description="what the head starts from"
    )
    finetune_label_fractions: Fractions = Field(
        (), description="shares of the labels to fine-tune on, drawn as for the linear probe"
    )
    robustness: Annotated[Literal["off", "main", "all"], OffIsText] = Field(
        "off", description="accuracy on corrupted held-out images: of 15 corruptions, or of all 19"
    )
    robustness_classifier: Literal["linear_probe", "knn", "classifier"] = Field(
        "linear_probe", description="what classifies them; classifier: the network's own"
    )
    corruption_severities: Severities = Field(
        (1, 2, 3, 4, 5), min_length=1, description="how strong the corruptions are, each once"
    )
    corruption_images: int | None = Field(
        None, ge=1, description="how many held-out images, chosen by their keys; null: all"
    )
    corruption_seed: int = Field(0, ge=0, description="another number gives other noise")
    corrupted_tfds: _CorruptedFolder | None = Field(
        None,
        description="folder with TensorFlow Datasets' cifar10_corrupted, to measure on the "
        "published images instead; null: our own corruptions",
    )
    robustness_baseline: _BaselineFolder | None = Field(
        None,
        description="directory of a run that errors are divided by, measured likewise; null: none",
    )

    @pydantic.field_validator("corruption_severities")
    @classmethod
    def _each_once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError(
                f"evaluation.corruption_severities: expected each once, received {list(value)}"
            )
        return value
