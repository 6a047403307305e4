"""Measures of the encoder."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.section import Section


class EvaluationConfig(Section):
    """Measures of the encoder."""

    probe_epochs: int = Field(10, ge=1, description="of the recipe's linear probe")
    probe_schedule_epochs: int | None = Field(100, ge=1)
    probe_learning_rate: float = Field(1e-3, gt=0.0)
    probe_batch_size: int = Field(1000, ge=1)
    regularisation: float = Field(
        1.0, gt=0.0, description="scikit-learn's C of the logistic regression"
    )
    neighbours: int = Field(20, ge=1, description="k of kNN")
    neighbour_temperature: float = Field(0.07, gt=0.0)
    rsm_images: int = Field(600, ge=2)
    rsm_latent: str | None = Field(
        None, description="latent to sort by; none: the class, or the first latent"
    )
