"""Configuration: strict, complete, and the same after a trip through YAML."""

import functools
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.components.encoders.convolutional.conv4_settings import Conv4Settings
from twofold.components.encoders.convolutional.core_settings import CoreSettings
from twofold.components.encoders.settings import ENCODERS
from twofold.components.errors import ConfigError
from twofold.components.methods.contrastive.simclr_settings import SimCLRSettings
from twofold.components.methods.generative.vae_settings import VAESettings
from twofold.components.methods.labelled.self_training_settings import SelfTrainingSettings
from twofold.components.methods.settings import METHODS
from twofold.components.settings import Registry
from twofold.components.transforms.policies_settings import (
    AffineViewsSettings,
    BYOLBViewsSettings,
    CropViewsSettings,
)
from twofold.components.transforms.settings import VIEWS
from twofold.pipeline.config import (
    DataConfig,
    EmaSettings,
    FolderSettings,
    PlateauSettings,
    RunConfig,
    SwaSettings,
    TrainingSettings,
    load_yaml,
    override,
    parse_config,
    to_yaml,
)
from twofold.pipeline.recipes import load_recipe, recipe_names

DEFAULT = RunConfig()

# YAML that is read back must hold characters that YAML can hold.
texts = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1) | (
    st.sampled_from(["1e-3", "null", "on", "2024-01-31", "007", "a=b", "~", "[x]", "é ü/日本"])
)
widths = st.lists(st.integers(1, 4096), max_size=3).map(tuple)
positive = st.floats(1e-12, 1e12)
ranges = st.tuples(positive, positive).map(lambda pair: tuple(sorted(pair)))
_of_any_method = functools.partial(
    st.builds,
    RunConfig,
    name=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z"),
    seed=st.integers(0, 2**31 - 1),
    data=st.builds(
        DataConfig,
        source=st.builds(
            FolderSettings,
            path=st.lists(texts, min_size=1, max_size=3).map(tuple),
            group_pattern=st.none() | texts,
        ),
        image_size=st.none() | st.integers(8, 1024),
        test_share=st.floats(0, 1, exclude_max=True),
    ),
    views=st.builds(AffineViewsSettings, scale=ranges) | st.builds(CropViewsSettings, area=ranges),
    encoder=st.builds(CoreSettings, filters=widths, units=widths)
    | st.builds(Conv4Settings, width=st.integers(1, 4096)),
    training=st.builds(
        TrainingSettings,
        averaging=st.none()
        | st.builds(SwaSettings, period_steps=st.integers(1, 99))
        | st.builds(EmaSettings, decay=st.floats(0, 1, exclude_min=True, exclude_max=True)),
        plateau=st.none() | st.builds(PlateauSettings, patience=st.integers(1, 9)),
    ),
)
configs = _of_any_method(
    second_views=st.none() | st.builds(BYOLBViewsSettings, area=ranges),
    method=st.builds(SimCLRSettings, negatives=st.sampled_from(["all", "other_view", 1, 7, 0.05])),
) | _of_any_method(method=st.builds(SelfTrainingSettings, confidence=st.none() | st.floats(0, 1)))


def _through_a_file(config: RunConfig, folder: Path) -> RunConfig:
    path = folder / "my.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    return load_yaml(path)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_the_same_after_a_trip_through_yaml(name: str, tmp_path: Path) -> None:
    assert _through_a_file(load_recipe(name), tmp_path) == load_recipe(name)


@settings(deadline=None, max_examples=60)
@given(config=configs)
def test_any_configuration_is_the_same_after_a_trip_through_yaml(
    config: RunConfig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert _through_a_file(config, tmp_path_factory.getbasetemp()) == config


@settings(deadline=None, max_examples=60)
@given(config=configs)
def test_any_configuration_can_be_set_key_by_key(config: RunConfig) -> None:
    given_settings = [f"name={json.dumps(config.name)}", f"seed={config.seed}"]
    for section, keys in config.model_dump(mode="json").items():
        if isinstance(keys, dict):
            given_settings += [
                f"{section}.{key}={json.dumps(keys[key], ensure_ascii=False)}" for key in keys
            ]
    assert override(DEFAULT, given_settings) == config
    assert override(DEFAULT, given_settings[::-1]) == config


def test_yaml_holds_every_key_and_defaults_fill_in_what_a_file_leaves_out(tmp_path: Path) -> None:
    assert yaml.safe_load(to_yaml(DEFAULT)) == DEFAULT.model_dump(mode="json")
    path = tmp_path / "short.yaml"
    path.write_text("training: {epochs: 3}\n")
    assert load_yaml(path) == override(DEFAULT, ["training.epochs=3"])


def test_the_later_of_two_settings_counts() -> None:
    assert override(DEFAULT, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("setting", "section", "key", "value"),
    [
        ("training.learning_rate=1e-3", "training", "learning_rate", 0.001),
        ("training.learning_rate=1E+1", "training", "learning_rate", 10.0),
        ("training.learning_rate=2", "training", "learning_rate", 2.0),
        ("encoder.filters=[4, 8]", "encoder", "filters", (4, 8)),
        ("encoder.units=[]", "encoder", "units", ()),
        ("data.image_size=null", "data", "image_size", None),
        ("data.image_size=", "data", "image_size", None),
        ("data.licence=a=b", "data", "licence", "a=b"),
        ("data.licence='1e-3'", "data", "licence", "1e-3"),
        ("data.licence='null'", "data", "licence", "null"),
    ],
)
def test_values_are_read_as_yaml(setting: str, section: str, key: str, value: object) -> None:
    assert getattr(getattr(override(DEFAULT, [setting]), section), key) == value


def test_one_path_needs_no_list() -> None:
    folder = ["data.source=folder"]
    one = override(DEFAULT, [*folder, "data.path=é x/y"])
    assert one.data.source == FolderSettings(path=("é x/y",))
    several = override(DEFAULT, [*folder, "data.path=[a, b]"])
    assert several.data.source == FolderSettings(path=("a", "b"))


def test_another_policy_or_encoder_starts_from_its_own_defaults() -> None:
    start = override(DEFAULT, ["views.rotation_degrees=7", "encoder.initializer=keras"])
    switched = override(start, ["views.policy=crop", "encoder.name=conv4"])
    assert switched.views == CropViewsSettings()
    assert switched.encoder == Conv4Settings()
    back = override(switched, ["views.policy=affine", "encoder.name=core"])
    assert back.views == AffineViewsSettings()
    assert back.encoder == CoreSettings()


def test_naming_the_present_policy_or_encoder_changes_nothing() -> None:
    start = override(DEFAULT, ["views.rotation_degrees=7", "encoder.filters=[3]"])
    assert override(start, ["views.policy=affine", "encoder.name=core"]) == start


def test_a_setting_of_the_chosen_encoder_counts_wherever_the_choice_stands() -> None:
    before = override(DEFAULT, ["encoder.width=64", "encoder.name=conv4"])
    after = override(DEFAULT, ["encoder.name=conv4", "encoder.width=64"])
    assert before == after
    assert before.encoder == Conv4Settings(width=64)


def test_an_outer_choice_is_applied_before_an_inner_one() -> None:
    settings = ["method.teacher.encoder.width=8", "method.teacher.encoder.name=conv4"]
    config = override(DEFAULT, [*settings, "method.name=self_training"])
    assert isinstance(config.method, SelfTrainingSettings)
    assert config.method.teacher.encoder == Conv4Settings(width=8)


def test_a_section_that_is_not_there_can_be_set_and_taken_away() -> None:
    config = override(DEFAULT, ["training.plateau.patience=7", "second_views.policy=byol_b"])
    assert config.training.plateau == PlateauSettings(patience=7)
    assert config.second_views == BYOLBViewsSettings()
    assert override(config, ["training.plateau=null", "second_views=null"]) == DEFAULT


@pytest.mark.parametrize("registry", [VIEWS, ENCODERS])
def test_every_choice_has_its_own_defaults_and_an_implementation_that_takes_them(
    registry: Registry[Any],
) -> None:
    for name in registry:
        parameters = inspect.signature(registry[name].load_implementation()).parameters
        fields = registry.defaults(name).keys()
        assert fields == parameters.keys() - {"image_shape", "seed"}, name
        for key in fields:
            # Its default is written once, with the setting.
            assert parameters[key].default is inspect.Parameter.empty, f"{name}: {key}"


@pytest.mark.parametrize("registry", [VIEWS, ENCODERS, METHODS])
def test_every_setting_of_a_choice_has_a_description(registry: Registry[Any]) -> None:
    for name in registry:
        for key, field in registry[name].model_fields.items():
            of_a_section = key in (registry.key, "teacher")
            assert of_a_section or field.description, f"{name}: {key}"


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        DEFAULT.training.epochs = 3  # type: ignore[misc]


REFUSED = [
    ("data.imags=3", "unknown key data.imags: did you mean 'images'?"),
    ("trainin.epochs=3", "unknown key trainin: did you mean 'training'?"),
    # As like "compile" as half of its letters.
    ("training.nope=1", "unknown key training.nope: expected one of batch_size"),
    ("data.zzz.bar=1", "unknown key data.zzz: expected one of source, images, latent_names"),
    (
        "encoder.width=64",
        "unknown key encoder.width: expected one of name, batch_norm_mom",
    ),
    ("views.flip=true", "unknown key views.flip: expected one of policy, rotation_degrees"),
    ("training.epochs=ten", "training.epochs: input should be a valid integer, received 'ten'"),
    ("training.epochs=true", "training.epochs: input should be a valid integer, received True"),
    ("training.epochs=1.5", "training.epochs: input should be a valid integer, received 1.5"),
    ("training.epochs=0", "training.epochs: input should be greater than or equal to 1"),
    ("training.learning_rate=.nan", "training.learning_rate: input should be a finite number"),
    ("training=3", "training: input should be a mapping of keys, received 3"),
    ("views=3", "views: input should be a mapping of keys, received 3"),
    (
        "views={flip: true}",
        "views.policy is missing: expected one of affine, barlow, barlow_corrected, byol_a",
    ),
    (
        "views.policy=blur",
        "unknown views.policy 'blur': expected one of affine, barlow, barlow_corrected, byol_a",
    ),
    ("views.scale=[1.2, 0.8]", "views.scale: input should be two numbers above 0"),
    ("encoder.name=vit", "unknown encoder.name 'vit': expected one of bag_of_patches, conv4"),
    ("encoder.filters=4", "encoder.filters: input should be a list, received 4"),
    ("encoder.filters=[4, 0]", "encoder.filters.1: input should be greater than or equal to 1"),
    ("method.name=dino", "unknown method.name 'dino': expected one of barlow_twins, byol, emp_ssl"),
    ("method.negatives=few", 'method.negatives: input should be "all", "other_view", a whole'),
    ("method.negatives=0", 'method.negatives: input should be "all", "other_view", a whole'),
    ("method.negatives=2.5", "whole number above 0 or a share between 0 and 1"),
    ("method.negatives=1999", "has only 1998 others to draw from at training.batch_size=1000"),
    ("method={name: nnclr, queue_size: 999}", "method.queue_size=999 cannot hold a batch"),
    ("method={name: moco, queue_size: 999}", "expected at least training.batch_size=1000"),
    ("method.name=k_means", "expected encoder.name=patch_dictionary, received core"),
    ("views.policy=patches", "views.side=16: expected encoder.name=bag_of_patches"),
    ("second_views.policy=patches", "since other encoders see whole images"),
    ("probe_views={policy: patches, side: 9}", "views.side=9: expected encoder.name=bag_of_patch"),
    ("second_views.flip=true", "second_views.policy is missing: expected one of affine, barlow"),
    ("probe_views.policy=crops", "unknown probe_views.policy 'crops': expected one of affine"),
    ("training.averaging.decay=0.9", "training.averaging.kind is missing: expected one of ema"),
    ("training.plateau.pacience=3", "unknown key training.plateau.pacience: did you mean"),
    ("training.labelled_batch_size=1000", "must be below training.batch_size=1000, received 1000"),
    ("training.accumulate=3", "training.batch_size=1000 cannot be cut into training.accumulate=3"),
    ("training.weight_decay=0.1", "has no place in adam: expected 0, or training.optimizer=adamw"),
    ("training.precision=int8", "training.precision: input should be 'float32', 'bfloat16'"),
    ("data.label_share=0", "data.label_share: input should be greater than 0"),
    (
        "data.source=web",
        "unknown data.source 'web': expected one of dsprites, folder, listing, npz",
    ),
    (
        "data.source=tfds",
        "data.tfds_name is missing, which data.source=tfds needs: expected cifar10",
    ),
    ("data.source=npz", "data.path is missing, which data.source=npz needs: expected one .npz or"),
    (
        "data={source: npz, path: [a, b]}",
        "data.path: input should be one path, received ['a', 'b']",
    ),
    ("data={source: folder, path: []}", "data.path: input should be at least one path"),
    ("data={source: folder, path: [1]}", "data.path.0: expected text, in quotes where YAML reads"),
    ("data.images=0", "data.images: input should be greater than or equal to 1, received 0"),
    ("data.label_latent=size", "data.label_latent: input should be of shape, scale, orientation"),
    (
        "data.path=x",
        "data.path is a setting of data.source=folder, listing, npz, tfrecord, and data.source="
        "dsprites was chosen: remove it, or choose data.source=folder",
    ),
    ("name=../up", "name: string should match pattern"),
    ("seed.x=1", "seed has no keys"),
    ("seed", "expected KEY.PATH=VALUE"),
    ("=1", "expected KEY.PATH=VALUE"),
    ("seed=[", "expected a value in YAML, received ["),
    ("data.path=2024-99-99", "expected a value in YAML, received 2024-99-99"),
]


@pytest.mark.parametrize(("setting", "message"), REFUSED)
def test_a_setting_that_is_wrong_is_refused_by_name(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        override(DEFAULT, [setting])
    assert message in str(refusal.value)
    assert str(refusal.value).startswith(f"--set {setting.partition('=')[0]}")


_PATCHES = "encoder={name: bag_of_patches, patch: 12}"


@pytest.mark.parametrize("side", [12, 16])
def test_patches_are_for_an_encoder_of_patches_no_larger(side: int) -> None:
    config = override(DEFAULT, [_PATCHES, f"views={{policy: patches, side: {side}}}"])
    assert config.views.model_dump()["side"] == side
    with pytest.raises(ConfigError, match=r"views\.side=11: expected encoder\.name=bag_of_patches"):
        override(config, ["views.side=11"])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{policy: patches}", "{policy: affine}"),
        ("{policy: crop}", "{policy: patches}"),
        ("{policy: patches, side: 12}", "{policy: patches, side: 16}"),
    ],
)
def test_two_views_of_an_image_have_one_size(first: str, second: str) -> None:
    with pytest.raises(ConfigError, match="the two views of an image must be of one size"):
        override(DEFAULT, [_PATCHES, f"views={first}", f"second_views={second}"])
    # The probe's view is taken by itself.
    override(DEFAULT, [_PATCHES, f"views={first}", f"probe_views={second}"])


@pytest.mark.parametrize("name", ["emp_ssl", "k_means", "self_training", "supervised", "vae"])
def test_a_second_view_that_nothing_would_draw_is_refused(name: str) -> None:
    encoder = ["encoder.name=patch_dictionary"] if name == "k_means" else []
    with pytest.raises(ConfigError, match=f"has no effect: method.name={name} trains on views"):
        override(DEFAULT, [*encoder, f"method.name={name}", "second_views.policy=byol_b"])


def test_a_vae_does_not_rebuild_patches() -> None:
    config = override(DEFAULT, [_PATCHES, "views.policy=patches"])
    with pytest.raises(ConfigError, match=r"method\.name=vae rebuilds whole images"):
        override(config, ["method.name=vae"])


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_config({"seed": -1, "data": {"imags": 3}}, "my.yaml")
    assert "seed: " in str(refusal.value)
    assert "data.imags" in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n- b\n", "expected a mapping of keys, received list"),
        (b"", "expected a mapping of keys, received NoneType"),
        (b"seed: [1\n", "expected a YAML file, received: while parsing"),
        (b"\x00\xff", "expected a YAML file"),
        (b"name: 2024-99-99\n", "expected a YAML file"),
        (b"dta: {}\n", "unknown key dta: did you mean 'data'?"),
        (b"1: 2\n", "1: keys should be strings"),
        (b"training: {epochs: many}\n", "training.epochs: input should be a valid integer"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refusal:
        load_yaml(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert message in str(refusal.value)


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: no such configuration file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is a folder: expected a YAML file"):
        load_yaml(tmp_path)


def test_a_vae_whose_encoder_ends_in_no_dense_layer_is_told_to_give_its_code_a_width() -> None:
    with pytest.raises(ConfigError, match=r"method\.latent=null: encoder\.name=resnet18 ends in "):
        override(DEFAULT, ["method.name=vae", "views.policy=none", "encoder.name=resnet18"])
    given = ["method.name=vae", "method.latent=8", "views.policy=none", "encoder.name=resnet18"]
    assert override(DEFAULT, given).method == VAESettings(latent=8)
