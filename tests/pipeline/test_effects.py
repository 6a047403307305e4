"""Settings without effect are refused, with what would give them one."""

from __future__ import annotations

import pytest

from twofold.components.errors import ConfigError
from twofold.pipeline.config import RunConfig, TrainingSettings, override, parse_config
from twofold.pipeline.config.effects.data_effects import DATA
from twofold.pipeline.config.effects.method_effects import METHOD, RUN, VIEWS
from twofold.pipeline.config.effects.result_effects import EVALUATION, EXPORT, STUDY
from twofold.pipeline.config.effects.training_effects import TRAINING
from twofold.pipeline.recipes import load_recipe, recipe_names

STUDY_OF_ONE = "study={encoders: {plain: []}}"
# Of each setting: it where nothing reads it, and what else gives it an effect.
CASES = [
    (
        "data.label_latent=size",
        ["data.source=npz", "data.path=a.npz", "data.label_field=kind"],
        ["data.label_field=null"],
    ),
    ("data.split_seed=1", ["data.test_share=0"], ["data.validation_share=0.1"]),
    (
        "data.test_share=0.1",
        ["data.permuted_split={seed: 1, test_share: 0.2}"],
        ["data.permuted_split=null"],
    ),
    ("data.label_seed=1", [], ["data.label_share=0.5"]),
    ("data.training_seed=1", [], ["data.training_images=9"]),
    ("data.animated=first_frame", [], ["data.source=folder", "data.path=photos"]),
    ("data.jpeg_quality=90", ["data.stored_as=png"], ["data.stored_as=jpeg"]),
    ("data.near_duplicate_bits=2", ["data.duplicates=exact"], ["data.duplicates=near"]),
    ("data.on_duplicate=remove", ["data.duplicates=off"], ["data.duplicates=exact"]),
    ("data.on_leakage=remove", ["data.duplicates=off"], ["data.duplicates=near"]),
    *(
        (f"training.{setting}", ["method.name=random"], ["method.name=simclr"])
        for setting in (
            "epochs=3",
            "optimizer=sgd",
            "learning_rate=0.1",
            "rate_scaling=linear",
            "schedule=constant",
            "clip_norm=1.0",
            "accumulate=2",
            "averaging={kind: ema}",
            "early_stopping={patience: 3}",
            "validation_images=9",
            "on_divergence=rollback",
            "alarms={collapse: stop}",
            "callbacks=[mine:Mine]",
            "worker_timeout_seconds=30",
            "keep_best={count: 2}",
        )
    ),
    *(
        (
            f"training.alarms.{setting}",
            [f"training.alarms.{alarm}=off"],
            [f"training.alarms.{alarm}=stop"],
        )
        for alarm, setting in (
            ("collapse", "geometry_every=2"),
            ("collapse", "geometry_images=9"),
            ("collapse", "collapsed_deviation=0.2"),
            ("collapse", "collapsed_rank=2.0"),
            ("collapse", "collapsed_uniformity=-0.1"),
            ("loss_spike", "spike_score=9.0"),
            ("stalled_probe", "probe_epochs=2"),
            ("input_starvation", "starved_share=0.2"),
        )
    ),
    *(
        (f"training.alarms.{setting}", ["method.name=supervised"], ["method.name=simclr"])
        for setting in ("collapsed_rank=2.0", "stalled_probe=stop", "probe_epochs=2")
    ),
    (
        "training.alarms.checks=5",
        ["training.alarms.collapse=off", "training.alarms.input_starvation=off"],
        ["training.alarms.input_starvation=warn"],
    ),
    ("training.alarms.stale_queue=off", ["method.name=simclr"], ["method.name=moco"]),
    ("training.alarms.rollback_rate=0.5", [], ["training.on_divergence=rollback"]),
    *(
        (f"training.{setting}", ["method.name=random"], ["evaluation.finetune_epochs=1"])
        for setting in (
            "precision=bfloat16",
            "deterministic=off",
            "log_every=3",
            "checkpoint_every_epochs=3",
            "checkpoint_minutes=3",
            "keep_checkpoints=3",
            "tensorboard={snapshots: 3}",
        )
    ),
    (
        "training.weight_decay=0.1",
        ["method.name=random"],
        ["method.name=simclr", "training.optimizer=adamw"],
    ),
    ("training.last_batch=keep", ["data.sampling=balanced"], ["data.sampling=uniform"]),
    (
        "training.last_batch=keep",
        ["training.labelled_batch_size=2"],
        ["training.labelled_batch_size=null"],
    ),
    ("training.profile_steps=[1, 2]", ["method.name=random"], ["method.name=simclr"]),
    ("training.momentum=0.8", [], ["training.optimizer=lars"]),
    ("training.epsilon=0.1", ["training.optimizer=sgd"], ["training.optimizer=adam"]),
    ("training.exclude=[]", [], ["training.optimizer=lamb"]),
    (
        "training.exclude=[]",
        ["training.optimizer=adamw"],
        ["training.weight_decay=0.1"],
    ),
    ("training.schedule_epochs=9", ["training.schedule=constant"], ["training.schedule=cosine"]),
    (
        "training.final_learning_rate=0.0001",
        ["training.schedule=constant"],
        ["training.schedule=cosine"],
    ),
    (
        "training.schedule_every=epoch",
        ["training.schedule=constant"],
        ["training.schedule=cosine"],
    ),
    ("training.start_from=run", ["method.name=random"], ["method.name=simclr"]),
    ("training.start_with=encoder", [], ["training.start_from=run"]),
    (
        "training.continue_schedule=restarted",
        ["training.schedule=constant"],
        ["training.schedule=cosine"],
    ),
    (
        "training.continue_learning_rate=0.1",
        ["training.continue_schedule=stretched"],
        ["training.continue_schedule=constant"],
    ),
    ("training.warmup_epochs=5", ["training.epochs=4"], ["training.epochs=5"]),
    (
        "training.averaging.start_epoch=5",
        ["training.averaging.kind=swa", "training.epochs=5"],
        ["training.epochs=6"],
    ),
    ("training.plateau={patience: 3}", ["training.epochs=4"], ["training.epochs=5"]),
    ("training.recompute_activations=true", ["method.name=vae"], ["method.name=simclr"]),
    ("training.steps_per_call=4", ["training.log_every=4"], ["training.log_every=5"]),
    (
        "views.hue=0.3",
        ["views={policy: barlow, jitter_probability: 0.0}"],
        ["views.jitter_probability=0.5"],
    ),
    *(
        (
            f"views.{setting}",
            ["views={policy: barlow, blur_probability: 0.0}"],
            ["views.blur_probability=0.5"],
        )
        for setting in ("sigma=[0.1, 0.2]", "blur_size=5")
    ),
    (
        "second_views.solarise_threshold=0.3",
        ["second_views.policy=byol_a"],
        ["second_views.solarise_probability=0.5"],
    ),
    (
        "evaluation.finetune_views.blur_share=0.3",
        [
            "evaluation.finetune_epochs=1",
            "evaluation.finetune_views={policy: byol_a, blur_probability: 0.0}",
        ],
        ["evaluation.finetune_views.blur_probability=0.5"],
    ),
    (
        "evaluation.probe_reads=projections",
        ["method.projector=[]"],
        ["method.projector=[8]"],
    ),
    ("method.projector_batch_norm=true", ["method.projector=[8]"], ["method.projector=[8, 8]"]),
    (
        "method.predictor_rate=schedule",
        ["method.name=simsiam", "training.schedule=constant"],
        ["training.schedule=cosine"],
    ),
    (
        "method.batch_norm_groups=4",
        ["method.name=moco", "encoder.name=conv4"],
        ["encoder.name=core"],
    ),
    (
        "method.teacher.training.momentum=0.8",
        ["method.name=self_training"],
        ["method.teacher.training.optimizer=sgd"],
    ),
    (
        "evaluation.measured_images=9",
        ["evaluation.measures=[calibration]"],
        ["evaluation.measures=[retrieval]"],
    ),
    ("evaluation.label_fraction_seeds=4", [], ["evaluation.label_fractions=[0.1]"]),
    ("evaluation.finetune_from_scratch=true", [], ["evaluation.finetune_epochs=2"]),
    ("evaluation.finetune_learning_rate=0.1", [], ["evaluation.finetune_epochs=2"]),
    ("evaluation.finetune_batch_size=9", [], ["evaluation.finetune_epochs=2"]),
    ("evaluation.finetune_views={policy: crop}", [], ["evaluation.finetune_epochs=2"]),
    ("evaluation.finetune_layer_decay=0.5", [], ["evaluation.finetune_epochs=2"]),
    ("evaluation.finetune_head=linear_probe", [], ["evaluation.finetune_epochs=2"]),
    ("evaluation.finetune_label_fractions=[0.1]", [], ["evaluation.finetune_epochs=2"]),
    ("evaluation.robustness_classifier=knn", [], ["evaluation.robustness=main"]),
    ("evaluation.corruption_severities=[1]", [], ["evaluation.robustness=all"]),
    ("evaluation.corruption_images=9", [], ["evaluation.robustness=main"]),
    ("evaluation.corruption_seed=1", [], ["evaluation.robustness=main"]),
    ("evaluation.corrupted_tfds=sets", [], ["evaluation.robustness=main"]),
    ("evaluation.robustness_baseline=run", [], ["evaluation.robustness=main"]),
    (
        "evaluation.corruption_seed=1",
        ["evaluation.robustness=main", "evaluation.corrupted_tfds=sets"],
        ["evaluation.corrupted_tfds=null"],
    ),
    ("export.converted_images=9", [], ["export.formats=[onnx]"]),
    ("export.calibration_images=9", ["export.formats=[onnx]"], ["export.formats=[litert_int8]"]),
    ("export.formats=[onnx]", [STUDY_OF_ONE], ["study=null"]),
    ("export.neighbour_head=false", [STUDY_OF_ONE], ["study=null"]),
    ("export.tta_flip=false", [STUDY_OF_ONE], ["study=null"]),
    (
        "study.pixel_epochs=9",
        [STUDY_OF_ONE, "study.pixels=null"],
        ["study.pixels=raw"],
    ),
    *(
        (f"study.{setting}", [STUDY_OF_ONE], ["study.label_fractions=[0.5]"])
        for setting in (
            "fraction_probe_epochs=2",
            "fraction_training_epochs=2",
            "curve_groups={one: [plain]}",
        )
    ),
    *(
        (
            f"views.{setting}",
            [f"views.policy={policy}", f"views.{probability}=0"],
            [f"views.{probability}=0.5"],
        )
        for policy, probability, setting in (
            ("barlow", "jitter_probability", "brightness=0.1"),
            ("barlow", "jitter_probability", "contrast=0.1"),
            ("barlow", "jitter_probability", "saturation=0.1"),
            ("barlow", "jitter_probability", "saturation_of=luma"),
            ("simclr_imagenet", "jitter_probability", "strength=0.5"),
            ("barlow", "blur_probability", "sigma_drawn=image"),
            ("simclr_imagenet", "blur_probability", "blur_share=0.2"),
            ("barlow", "solarise_probability", "solarise_threshold=0.4"),
        )
    ),
    ("study.pictured_images=9", [STUDY_OF_ONE], ["study.pictured={all: plain}"]),
    (
        "probe_views.policy=crop",
        ["method.name=supervised", "views.policy=none"],
        ["method.name=simclr"],
    ),
    (
        "probe_views.policy=crop",
        ["method.name=supervised"],
        ["evaluation.finetune_epochs=1"],
    ),
]


@pytest.mark.parametrize(("setting", "given", "remedy"), CASES)
def test_a_setting_that_nothing_reads_is_refused_until_something_does(
    setting: str, given: list[str], remedy: list[str]
) -> None:
    key = setting.partition("=")[0]
    with pytest.raises(ConfigError) as refusal:
        override(RunConfig(), [*given, setting])

    assert key.removesuffix(".policy") in str(refusal.value)
    assert ": expected " in str(refusal.value)
    override(RunConfig(), [*given, *remedy, setting])


@pytest.mark.parametrize(
    "setting", ["start_from=RUN", "worker_timeout_seconds=5", "continue_schedule=restarted"]
)
def test_what_a_student_s_training_decides_is_refused_of_its_teacher(setting: str) -> None:
    wanted = f"expected {setting.partition('=')[0]} in the student's settings"
    with pytest.raises(ConfigError, match=wanted):
        override(RunConfig(), ["method.name=self_training", f"method.teacher.training.{setting}"])


def test_every_row_of_the_table_has_a_case() -> None:
    tried = {setting.partition("=")[0].removesuffix(".policy") for setting, _, _ in CASES}
    tables = {"data": DATA, "training": TRAINING, "evaluation": EVALUATION, "export": EXPORT}
    rows = {
        f"{section}.{key}"
        for section, effects in (
            tables | {"study": STUDY, "method": METHOD, "views": VIEWS}
        ).items()
        for effect in effects
        for key in effect.keys
    }
    assert rows | {key for effect in RUN for key in effect.keys} <= tried


def test_what_a_recipe_had_set_is_named_with_what_it_is_to_be_set_to() -> None:
    with pytest.raises(ConfigError) as refusal:
        override(load_recipe("stl10_simclr"), ["evaluation.finetune_epochs=null"])

    for reset in ("finetune_from_scratch=false", "finetune_batch_size=64"):
        assert f"expected evaluation.finetune_epochs, or evaluation.{reset}" in str(refusal.value)


@pytest.mark.parametrize("chosen", ["method.name=random", "method={name: random}"])
def test_a_method_without_training_drops_what_a_recipe_had_set_for_one(chosen: str) -> None:
    trained = [
        "training.batch_size=50",
        "training.epochs=3",
        "training.optimizer=lars",
        "training.precision=bfloat16",
    ]
    recipe = override(RunConfig(), trained)

    config = override(recipe, [chosen, "training.compile=none"])

    # Batch statistics are those of its batches.
    assert config.training == TrainingSettings(batch_size=50, compile="none")
    tuned = override(recipe, [chosen, "evaluation.finetune_epochs=1"])
    assert tuned.training == TrainingSettings(batch_size=50, precision="bfloat16")


def test_a_factor_of_one_on_the_rate_of_each_block_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"one rate: expected a factor below 1, or .*=null"):
        override(
            RunConfig(), ["evaluation.finetune_epochs=2", "evaluation.finetune_layer_decay=1.0"]
        )


def test_what_a_run_was_made_from_is_let_be() -> None:
    values = RunConfig().model_dump(mode="json")
    values["training"]["momentum"] = 0.8

    config = parse_config(values, "run.json", recorded=True)

    assert config.training.momentum == 0.8
    with pytest.raises(ConfigError, match=r"training\.momentum=0\.8 has no effect"):
        parse_config(values, "my.yaml")


@pytest.mark.parametrize("name", recipe_names())
def test_what_is_printed_of_a_recipe_is_accepted_back(name: str) -> None:
    config = load_recipe(name)

    assert parse_config(config.model_dump(mode="json"), name) == config
