"""Effects of ``method``, and of the view policies that it trains with."""

from __future__ import annotations

from twofold.components.encoders.settings import NormalisedSettings
from twofold.pipeline.config.effects.effect import Effect

METHOD = (
    Effect(
        ("projector_batch_norm",),
        lambda method, _: (
            not method.projector_batch_norm or method.projector is None or len(method.projector) > 1
        ),
        "two or more widths in method.projector",
    ),
    Effect(
        ("predictor_rate",),
        lambda _, config: config.training.schedule != "constant",
        "training.schedule=cosine",
    ),
    Effect(
        ("batch_norm_groups",),
        lambda method, config: (
            isinstance(config.encoder, NormalisedSettings)
            or (method.projector_batch_norm and (method.projector is None or method.projector))
        ),
        "an encoder.name with batch normalisation, or method.projector_batch_norm=true",
    ),
)

# Of each view policy that has such settings.
VIEWS = (
    Effect(
        ("brightness", "contrast", "saturation", "saturation_of", "hue", "strength"),
        lambda views, _: getattr(views, "jitter_probability", 1.0) > 0,
        "views.jitter_probability above 0",
    ),
    Effect(
        ("sigma", "sigma_drawn", "blur_size", "blur_share"),
        lambda views, _: views.blur_probability > 0,
        "views.blur_probability above 0",
    ),
    Effect(
        ("solarise_threshold",),
        lambda views, _: views.solarise_probability > 0,
        "views.solarise_probability above 0",
    ),
)

RUN = (
    Effect(
        ("probe_views",),
        lambda config, _: (
            (config.method.trains and not config.method.classifies)
            or (
                config.evaluation.finetune_epochs is not None
                and config.evaluation.finetune_views is None
            )
        ),
        "a method.name beside which a probe learns",
    ),
)
