"""Run configuration: all settings, from images to a served encoder."""

from __future__ import annotations

import pydantic
from pydantic import Field

from twofold.components.encoders.convolutional.core_settings import CoreSettings
from twofold.components.encoders.settings import ENCODERS, AnyEncoder
from twofold.components.methods.contrastive.simclr_settings import SimCLRSettings
from twofold.components.methods.settings import METHODS, AnyMethod
from twofold.components.settings import Section
from twofold.components.training.settings import TrainingSettings
from twofold.components.transforms.policies_settings import AffineViewsSettings
from twofold.components.transforms.settings import AnyViews
from twofold.pipeline.config.data import DataConfig
from twofold.pipeline.config.effects.unread_settings import without_effect
from twofold.pipeline.config.evaluation import EvaluationConfig
from twofold.pipeline.config.export_settings import ExportConfig
from twofold.pipeline.config.study import StudyConfig

# In the context of a validation: the configuration is that of a run that was made.
RECORDED = "recorded"


class RunConfig(Section):
    """A whole run, from images to a served encoder."""

    name: str = Field(
        "run",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="of the run's directory; letters, digits and . _ -",
    )
    seed: int = Field(
        0, ge=0, lt=2**31, description="another number gives other weights, batches and views"
    )
    data: DataConfig = Field(
        DataConfig(), description="where images come from, and how they are prepared"
    )
    views: AnyViews = Field(
        AffineViewsSettings(), description="how views are drawn; of two, the first"
    )
    second_views: AnyViews | None = Field(
        None, description="policy of a method's second view; null: as the first"
    )
    probe_views: AnyViews | None = Field(
        None,
        description="policy of the online probe's own pass; null: it shares the method's pass",
    )
    encoder: AnyEncoder = Field(CoreSettings(), description="network from images to features")
    method: AnyMethod = Field(SimCLRSettings(), description="what the encoder learns from")
    training: TrainingSettings = Field(
        TrainingSettings(), description="batches, optimizer, schedule, and when to stop"
    )
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="measures of the encoder")
    export: ExportConfig = Field(ExportConfig(), description="what becomes of the finished encoder")
    study: StudyConfig | None = Field(
        None, description="several encoders instead of one; null: a run by itself"
    )

    @pydantic.model_validator(mode="after")
    def _possible(self) -> RunConfig:
        method = self.method
        if self.second_views is not None and method.view_policies < 2:
            raise ValueError(
                f"second_views.policy={self.second_views.policy} has no effect: "
                f"method.name={method.name} trains on views alone: expected second_views=null"
            )
        self._check_patches()
        policies = method.choose_policies(self.views, self.second_views)
        method.check(self.training, self.encoder, policies)
        own = self.evaluation.robustness_classifier == "classifier"
        if own and self.evaluation.robustness != "off" and not method.classifies:
            known = ", ".join(name for name in METHODS if METHODS[name].classifies)
            raise ValueError(
                f"evaluation.robustness_classifier=classifier: method.name={method.name} has no "
                f"classifier of its own: expected one of {known}, or linear_probe"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _all_is_read(self, info: pydantic.ValidationInfo) -> RunConfig:
        if (info.context or {}).get(RECORDED):
            return self
        faults = "; ".join(without_effect(self))
        if faults:
            raise ValueError(faults)
        return self

    def _check_patches(self) -> None:
        """Refuses views of a size that the encoder does not take, and two of different sizes."""
        views = [view for view in (self.views, self.second_views, self.probe_views) if view]
        side, whole = self.encoder.patch_side, self.data.image_size
        for view in views:
            if view.patch_side in (None, whole):
                continue
            if side is None or view.patch_side < side:
                takers = [name for name in ENCODERS if ENCODERS[name].model_validate({}).patch_side]
                raise ValueError(
                    f"views.policy={view.policy}, views.side={view.patch_side}: expected "
                    f"encoder.name={' or '.join(takers)} that goes down to that side, "
                    f"encoder.input_size={view.patch_side} or data.image_size={view.patch_side}, "
                    f"since other encoders see whole images"
                )
        second = self.second_views or self.views
        if (self.views.patch_side or whole) != (second.patch_side or whole):
            raise ValueError(
                f"second_views.policy={second.policy}, views.policy={self.views.policy}: the two "
                f"views of an image must be of one size, both patches of one side or neither"
            )
