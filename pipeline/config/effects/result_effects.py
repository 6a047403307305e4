"""Effects of ``evaluation``, ``export`` and ``study``: of what is made of an encoder."""

from __future__ import annotations

from twofold.pipeline.config.effects.effect import Effect

EVALUATION = (
    Effect(
        ("probe_reads",),
        lambda _, config: getattr(config.method, "projector", ()) != () and config.study is None,
        "a method.projector with a layer, and no study",
    ),
    Effect(
        ("measured_images",),
        lambda evaluation, _: bool(
            {"clustering", "retrieval", "uniformity"} & set(evaluation.measures)
        ),
        "clustering, retrieval or uniformity in evaluation.measures",
    ),
    Effect(
        ("label_fraction_seeds",),
        lambda evaluation, _: bool(
            evaluation.label_fractions or evaluation.finetune_label_fractions
        ),
        "evaluation.label_fractions or evaluation.finetune_label_fractions",
    ),
    Effect(
        (
            "finetune_from_scratch",
            "finetune_learning_rate",
            "finetune_batch_size",
            "finetune_views",
            "finetune_layer_decay",
            "finetune_head",
            "finetune_label_fractions",
        ),
        lambda evaluation, _: evaluation.finetune_epochs is not None,
        "evaluation.finetune_epochs",
    ),
    Effect(
        ("finetune_layer_decay",),
        lambda evaluation, _: evaluation.finetune_layer_decay != 1.0,
        "a factor below 1",
        "gives all blocks one rate",
    ),
    Effect(
        (
            "robustness_classifier",
            "corruption_severities",
            "corruption_images",
            "corruption_seed",
            "corrupted_tfds",
            "robustness_baseline",
        ),
        lambda evaluation, _: evaluation.robustness != "off",
        "evaluation.robustness=main or all",
    ),
    Effect(
        ("corruption_seed",),
        lambda evaluation, _: evaluation.corrupted_tfds is None,
        "evaluation.corrupted_tfds=null",
    ),
)

EXPORT = (
    Effect(
        ("converted_images",),
        lambda export, _: any(name != "saved_model" for name in export.formats),
        "a format besides saved_model in export.formats",
    ),
    Effect(
        ("calibration_images",),
        lambda export, _: "litert_int8" in export.formats,
        "litert_int8 in export.formats",
    ),
    Effect(
        ("formats", "neighbour_head", "tta_flip", "converted_images", "calibration_images"),
        lambda _, config: config.study is None,
        "study=null, since a study exports nothing",
    ),
)

STUDY = (
    Effect(("pixel_epochs",), lambda study, _: study.pixels is not None, "study.pixels"),
    Effect(
        ("fraction_probe_epochs", "fraction_training_epochs", "curve_groups"),
        lambda study, _: bool(study.label_fractions),
        "study.label_fractions",
    ),
    Effect(("pictured_images",), lambda study, _: bool(study.pictured), "study.pictured"),
)
