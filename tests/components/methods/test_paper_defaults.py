"""Defaults of the methods are those of their papers, and scale with encoder, images and steps.

Expected values are the papers', of ResNet-50 (2,048 features) on ImageNet (1,281,167 images).
"""

from typing import Any

import pytest

from twofold.components.errors import SettingsError
from twofold.components.methods.automatic import TrainingSize
from twofold.components.methods.settings import METHODS

IMAGES = 1_281_167


def resolved(name, size, **given):
    """Gives a method's settings of such a training, those that are not given by their defaults."""
    settings: Any = METHODS.validate({"name": name, **given})
    return settings.resolved(size)


def of_paper(batch, epochs, features=2048):
    return TrainingSize(features, IMAGES, (batch,), epochs * (IMAGES // batch))


# Method, size of the paper's training, and what its text and tables say.
PAPERS = [
    # Chen et al. (2020), sections 2.1 and 2.2; appendix B.9 for CIFAR-10.
    (
        "simclr",
        of_paper(4096, 100),
        {
            "projector": (2048, 128),
            "projector_batch_norm": False,
            "output_norm": "none",
            "temperature": 0.5,
            "negatives": "all",
        },
    ),
    # Dwibedi et al. (2021), sections 3.2 and 4.
    (
        "nnclr",
        of_paper(4096, 1000),
        {
            "projector": (2048, 2048, 256),
            "projector_batch_norm": True,
            "output_norm": "affine",
            "predictor": (4096,),
            "temperature": 0.1,
            "queue_size": 98_304,
            "neighbour_gradient": False,
        },
    ),
    # He et al. (2020), sections 3.3 and 4.1; Chen et al. (2020b), section 3.
    (
        "moco",
        of_paper(256, 200),
        {
            "projector": (2048, 128),
            "projector_batch_norm": False,
            "output_norm": "none",
            "temperature": 0.2,
            "queue_size": 65_536,
            "momentum": 0.999,
            "batch_norm_groups": 8,
        },
    ),
    # Zbontar et al. (2021), section 2.2.
    (
        "barlow_twins",
        of_paper(2048, 1000),
        {
            "projector": (8192, 8192, 8192),
            "projector_batch_norm": True,
            "output_norm": "none",
            "off_diagonal": 0.005,
        },
    ),
    # Bardes et al. (2022), section 4.2.
    (
        "vicreg",
        of_paper(2048, 1000),
        {
            "projector": (8192, 8192, 8192),
            "projector_batch_norm": True,
            "output_norm": "none",
            "invariance": 25.0,
            "variance": 25.0,
            "covariance": 1.0,
        },
    ),
    # Grill et al. (2020), section 3.2.
    (
        "byol",
        of_paper(4096, 1000),
        {
            "projector": (4096, 256),
            "projector_batch_norm": True,
            "output_norm": "none",
            "predictor": (4096,),
            "momentum": 0.996,
        },
    ),
    # Chen & He (2021), sections 3 and 4.2.
    (
        "simsiam",
        of_paper(512, 100),
        {
            "projector": (2048, 2048, 2048),
            "projector_batch_norm": True,
            "output_norm": "plain",
            "predictor": (512,),
            "constant_rates": ("predictor",),
        },
    ),
    # Tong et al. (2023), section 3; the authors' code for the projector, on features of 4,096.
    (
        "emp_ssl",
        of_paper(100, 1, features=4096),
        {
            "projector": (4096, 1024),
            "projector_batch_norm": True,
            "output_norm": "none",
            "patches": 20,
            "invariance": 200.0,
            "squared_distortion": 0.2,
        },
    ),
]


@pytest.mark.parametrize(("name", "size", "expected"), PAPERS, ids=[name for name, *_ in PAPERS])
def test_a_method_is_as_in_its_paper_at_the_papers_size(name, size, expected):
    found = resolved(name, size)
    assert {key: getattr(found, key) for key in expected} == expected


# 789 images, a network of 128 features, batches of 256, 20 epochs of 3 steps.
SMALL = TrainingSize(128, 789, (256,), 60)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("simclr", {"projector": (128, 128)}),
        (
            "nnclr",
            # A tenth of the images would hold no batch.
            {"projector": (128, 128, 128), "predictor": (256,), "queue_size": 256},
        ),
        ("moco", {"projector": (128, 128), "queue_size": 256, "momentum": 0.99}),
        ("barlow_twins", {"projector": (512, 512, 512)}),
        ("vicreg", {"projector": (512, 512, 512)}),
        ("byol", {"projector": (256, 128), "predictor": (256,), "momentum": 0.97}),
        ("simsiam", {"projector": (128, 128, 128), "predictor": (32,)}),
        ("emp_ssl", {"projector": (128, 32)}),
    ],
)
def test_a_small_encoder_and_few_images_have_defaults_of_their_size(name, expected):
    found = resolved(name, SMALL)
    assert {key: getattr(found, key) for key in expected} == expected


@pytest.mark.parametrize("name", ["barlow_twins", "vicreg"])
def test_no_more_units_are_to_be_uncorrelated_than_images_allow(name):
    # 200 centred rows have rank 199 at most.
    size = TrainingSize(128, 200, (100,), 100)
    assert resolved(name, size).projector == (199, 199, 199)


@pytest.mark.parametrize(
    ("images", "batch", "expected"),
    # CIFAR-10 in batches of 512: of the order of the authors' 4,096 there.
    [(50_000, 512, 5_000), (100_000, 256, 10_000), (IMAGES, 256, 65_536), (600, 500, 500)],
)
def test_a_queue_is_a_tenth_of_the_images_between_a_batch_and_the_papers(images, batch, expected):
    size = TrainingSize(512, images, (batch,), 1000)
    assert resolved("moco", size).queue_size == expected


@pytest.mark.parametrize("name", ["moco", "nnclr"])
@pytest.mark.parametrize(
    "size",
    [
        # Four parts of 128 are enqueued together, of which 2,000 images have no tenth.
        TrainingSize(512, 2_000, (128, 100), 1000, accumulate=4),
        TrainingSize(512, 10 * IMAGES, (131_072,), 1000),
    ],
)
def test_a_queue_takes_in_all_images_of_an_update(name, size):
    assert resolved(name, size).queue_size == max(size.batches) * size.accumulate


@pytest.mark.parametrize(("features", "projector"), [(4096, ()), (4096, None), (4096, (64,))])
def test_simsiams_predictor_has_a_quarter_of_the_projections(features, projector):
    found = resolved("simsiam", TrainingSize(features, IMAGES, (512,), 1000), projector=projector)
    projections = {(): 4096, None: 2048, (64,): 64}[projector]
    assert found.predictor == (projections // 4,)


@pytest.mark.parametrize(
    ("batches", "groups"),
    [((256,), 8), ((128,), 8), ((64,), 4), ((32,), 2), ((31,), 1), ((250,), 2), ((256, 36), 2)],
)
def test_parts_of_a_batch_are_equal_and_hold_16_images(batches, groups):
    size = TrainingSize(512, 50_000, batches, 1000)
    assert resolved("moco", size).batch_norm_groups == groups


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].trains])
def test_what_is_given_is_kept_and_every_choice_has_a_reason(name):
    settings = METHODS.validate({"name": name})
    assert tuple(settings.resolved(SMALL).automatic(SMALL)) == ()
    for choice in settings.automatic(SMALL):
        assert getattr(settings, choice.key) is None
        assert choice.reason


@pytest.mark.parametrize(
    ("given", "replicas", "message"),
    [
        ({"queue_size": 65_536}, 1, "method.queue_size=65536 is more than the 789 training images"),
        ({"batch_norm_groups": 4}, 3, "batch_norm_groups=4 cannot be shared by 3 replicas"),
        ({}, 3, "batch_norm_groups=8 cannot be shared by 3 replicas: expected a multiple of 3"),
    ],
)
def test_what_does_not_fit_images_or_replicas_is_refused(given, replicas, message):
    settings = METHODS.validate({"name": "moco", **given})
    with pytest.raises(SettingsError, match=message):
        settings.check_size(789, (256,), replicas)


def test_parts_of_a_last_batch_have_to_be_equal_too():
    settings = METHODS.validate({"name": "moco", "batch_norm_groups": 4})
    with pytest.raises(SettingsError, match="21 images of the last batch into equal parts"):
        settings.check_size(789, (256, 21), 1)
    METHODS.validate({"name": "moco"}).check_size(789, (256, 21), 1)


@pytest.mark.parametrize(
    ("former", "now"),
    [
        (
            {
                "name": "moco",
                "projector": [128, 128],
                "projector_batch_norm": False,
                "temperature": 0.2,
                "queue_size": 4096,
                "momentum": 0.999,
            },
            {"batch_norm_groups": 1},
        ),
        (
            {
                "name": "nnclr",
                "projector": [128, 128],
                "projector_batch_norm": False,
                "temperature": 0.1,
                "queue_size": 10_000,
                "accuracies_of": "features",
            },
            {"predictor": (), "neighbour_gradient": True, "output_norm": "none"},
        ),
        (
            {
                "name": "simsiam",
                "projector": [2048, 2048, 2048],
                "projector_batch_norm": True,
                "predictor": [512],
            },
            {"predictor_rate": "schedule"},
        ),
    ],
    ids=["moco", "nnclr", "simsiam"],
)
def test_a_configuration_of_an_earlier_version_means_what_it_meant(former, now):
    settings = METHODS.validate(former)
    assert {key: getattr(settings, key) for key in now} == now
    assert METHODS.validate(settings.model_dump(mode="json")) == settings
