"""Alarm settings: what is watched while an encoder trains, and what is done about it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from twofold.components.settings import OffIsText, Section

Cure = Annotated[Literal["off", "warn", "stop", "rollback"], OffIsText]
# Nothing that lies in the weights, so that no earlier ones are better.
Notice = Annotated[Literal["off", "warn", "stop"], OffIsText]

# Actions, by the alarms' names.
ACTIONS = ("collapse", "loss_spike", "stalled_probe", "stale_queue", "input_starvation")


class AlarmsSettings(Section):
    """Alarms: off, warn, stop (with exit status 4) or rollback to before, at a lower rate."""

    collapse: Cure = Field(
        "warn",
        description="what is done where the features, or the projections, of all images become "
        "the same, by one of the three measures below",
    )
    loss_spike: Cure = Field(
        "warn", description="what is done where the loss leaves its course upwards, see spike_score"
    )
    stalled_probe: Notice = Field(
        "warn",
        description="what is done where the online probe is no better than naming the most common "
        "class, over probe_epochs",
    )
    stale_queue: Notice = Field(
        "warn",
        description="what is done where a queue holds more images than an epoch, and so earlier "
        "projections of the images that it is compared with",
    )
    input_starvation: Notice = Field(
        "warn",
        description="what is done where training waits for images, see starved_share; with several "
        "workers no more than a warning",
    )
    checks: int = Field(
        3, ge=1, description="checks in a row that a collapse or starvation lasts until its alarm"
    )
    geometry_every: int = Field(
        8,
        ge=1,
        description="points of the curves from one measurement of the geometry of features and "
        "projections to the next; each epoch's end has one anyway",
    )
    geometry_images: int = Field(
        256,
        ge=2,
        description="most training images that it is measured on, without views; at most those of "
        "a batch",
    )
    collapsed_deviation: float = Field(
        0.1,
        ge=0.0,
        le=1.0,
        description="collapse: deviation of unit features below it, where 1 is that of an even "
        "spread over the sphere and 0 a point (Chen & He, 2021, section 4.1)",
    )
    collapsed_rank: float = Field(
        1.5,
        ge=0.0,
        description="collapse: effective rank below it, where 1 is one direction (Garrido et al., "
        "2023, equations 1 and 2); of no method that classifies",
    )
    collapsed_uniformity: float = Field(
        -0.04,
        le=0.0,
        description="collapse: uniformity above it, where 0 is a point and -4 an even spread (Wang "
        "& Isola, 2020, section 4.1.2)",
    )
    spike_score: float = Field(
        20.0,
        gt=0.0,
        description="spike: how many deviations, 1.4826 times the median of the distances from "
        "the median, the loss lies above the median of the last 20 points (Hampel, 1974)",
    )
    probe_epochs: int = Field(
        5,
        ge=1,
        description="epochs over which the online probe's accuracy is held to chance, or 200 "
        "steps where these are more",
    )
    starved_share: float = Field(
        0.5,
        gt=0.0,
        lt=1.0,
        description="starvation: share of the time from one point of the curves to the next in "
        "which training waits for images, above it",
    )
    rollback_rate: float = Field(
        0.1,
        gt=0.0,
        lt=1.0,
        description="what a rollback multiplies the learning rate by from then on; a training "
        "rolls back once, and stops the second time",
    )
