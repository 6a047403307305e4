"""Run configuration: all settings, from images to a served encoder."""

from __future__ import annotations

import pydantic
from pydantic import Field

from twofold.components.settings import Section
from twofold.components.training.settings import TrainingSettings
from twofold.pipeline.config.data import DataConfig
from twofold.pipeline.config.effects import without_effect
from twofold.pipeline.config.encoders import (
    BagOfPatchesConfig,
    CoreConfig,
    EncoderConfig,
    PatchDictionaryConfig,
)
from twofold.pipeline.config.evaluation import EvaluationConfig
from twofold.pipeline.config.export import ExportConfig
from twofold.pipeline.config.methods import (
    KMeansConfig,
    MethodConfig,
    MoCoConfig,
    NNCLRConfig,
    SimCLRConfig,
    VAEConfig,
)
from twofold.pipeline.config.study import StudyConfig
from twofold.pipeline.config.views import AffineViewsConfig, PatchesViewsConfig, ViewsConfig

# The methods whose network classifies.
_CLASSIFIERS = ("supervised", "self_training")
# Those that train on views of one policy.
_ONE_VIEW = ("emp_ssl", "k_means", "self_training", "supervised", "vae")


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
    data: DataConfig = DataConfig()
    views: ViewsConfig = AffineViewsConfig()
    second_views: ViewsConfig | None = Field(
        None, description="policy of a method's second view; null: as the first"
    )
    probe_views: ViewsConfig | None = Field(
        None,
        description="policy of the online probe's own pass; null: it shares the method's pass",
    )
    encoder: EncoderConfig = CoreConfig()
    method: MethodConfig = SimCLRConfig()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationConfig = EvaluationConfig()
    export: ExportConfig = ExportConfig()
    study: StudyConfig | None = Field(
        None, description="several encoders instead of one; null: a run by itself"
    )

    @pydantic.model_validator(mode="after")
    def _possible(self) -> RunConfig:
        batch = self.training.batch_size
        method = self.method
        if isinstance(method, NNCLRConfig | MoCoConfig) and method.queue_size < batch:
            raise ValueError(
                f"method.queue_size={method.queue_size} cannot hold a batch: expected at least "
                f"training.batch_size={batch}"
            )
        negatives = method.negatives if isinstance(method, SimCLRConfig) else None
        smallest = 2 * (batch // self.training.accumulate) - 2
        if isinstance(negatives, int) and negatives > smallest:
            raise ValueError(
                f"method.negatives={negatives}: an anchor has only {smallest} others to draw from "
                f"at training.batch_size={batch}, training.accumulate={self.training.accumulate}"
            )
        if self.second_views is not None and method.name in _ONE_VIEW:
            raise ValueError(
                f"second_views.policy={self.second_views.policy} has no effect: "
                f"method.name={method.name} trains on views alone: expected second_views=null"
            )
        if isinstance(method, KMeansConfig) and not isinstance(self.encoder, PatchDictionaryConfig):
            raise ValueError(
                f"method.name=k_means learns a dictionary of patches: expected "
                f"encoder.name=patch_dictionary, received {self.encoder.name}"
            )
        views = (self.views, self.second_views, self.probe_views)
        patches = [view.side for view in views if isinstance(view, PatchesViewsConfig)]
        side = self.encoder.patch if isinstance(self.encoder, BagOfPatchesConfig) else None
        if patches and (side is None or min(patches) < side):
            raise ValueError(
                f"views.policy=patches, views.side={min(patches)}: expected "
                f"encoder.name=bag_of_patches with encoder.patch of at most that, since other "
                f"encoders see whole images"
            )
        pair = (self.views, self.second_views or self.views)
        one, other = (view.side if isinstance(view, PatchesViewsConfig) else None for view in pair)
        if one != other:
            raise ValueError(
                f"second_views.policy={pair[1].policy}, views.policy={pair[0].policy}: the two "
                f"views of an image must be of one size, both patches of one side or neither"
            )
        if one is not None and isinstance(method, VAEConfig):
            raise ValueError(
                "views.policy=patches: method.name=vae rebuilds whole images, expected another"
            )
        own = self.evaluation.robustness_classifier == "classifier"
        if own and self.evaluation.robustness != "off" and method.name not in _CLASSIFIERS:
            raise ValueError(
                f"evaluation.robustness_classifier=classifier: method.name={method.name} has no "
                f"classifier of its own: expected one of {', '.join(_CLASSIFIERS)}, or linear_probe"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _all_is_read(self) -> RunConfig:
        faults = "; ".join(without_effect(self))
        if faults:
            raise ValueError(faults)
        return self
