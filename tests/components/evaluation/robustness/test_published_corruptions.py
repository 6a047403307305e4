"""The published corrupted images, read from what TensorFlow Datasets has prepared."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from twofold.components.errors import DataError
from twofold.components.evaluation.robustness.published_corruptions import (
    CIFAR10_CLASSES,
    open_published,
    published_batches,
)
from twofold.components.transforms.decode import DecodeRule

# TFDS's own, when it reads a dataset's description.
pytestmark = pytest.mark.filterwarnings("ignore:label:DeprecationWarning")

RULE = DecodeRule(32, 32, 3)
COUNT = 23
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 32, 32, 3), np.uint8)
LABELS = np.arange(COUNT) * 3 % 10


def store(root, config, pixels=PIXELS):
    tfds.dataset_builders.store_as_tfds_dataset(
        "cifar10_corrupted",
        "1.0.0",
        tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(32, 32, 3)),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
        ),
        {
            "test": [
                (number, {"image": image, "label": int(label)})
                for number, (image, label) in enumerate(zip(pixels, LABELS, strict=True))
            ]
        },
        config=config,
        data_dir=str(root),
        download_config=tfds.download.DownloadConfig(num_shards=1),
        disable_shuffling=True,
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    store(root, "fog_2")
    store(root, "frosted_glass_blur_2", 255 - PIXELS)
    store(root, "elastic_2", PIXELS // 2)
    return root


def read(root, name="fog", class_names=CIFAR10_CLASSES, rule=RULE, **options):
    sources = open_published(root, [name], [2])
    batches = [*published_batches(sources, rule, class_names, **options)(name, 2)]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return images, labels, [len(one) for one, _ in batches]


def test_all_images_and_labels_come_in_batches(root):
    images, labels, sizes = read(root, batch_size=10)

    np.testing.assert_array_equal(images, PIXELS)
    np.testing.assert_array_equal(labels, LABELS)
    assert sizes == [10, 10, 3]


@pytest.mark.parametrize(
    ("name", "expected"), [("glass_blur", 255 - PIXELS), ("elastic_transform", PIXELS // 2)]
)
def test_corruptions_of_other_names_there_are_found(root, name, expected):
    np.testing.assert_array_equal(read(root, name)[0], expected)


def test_some_images_are_spread_over_all(root):
    images, labels, _ = read(root, count=4)

    np.testing.assert_array_equal(images, PIXELS[[0, 5, 11, 17]])
    np.testing.assert_array_equal(labels, LABELS[[0, 5, 11, 17]])
    assert len(read(root, count=1000)[0]) == COUNT


def test_images_are_brought_to_what_the_encoder_sees(root):
    images, _, _ = read(root, rule=DecodeRule(16, 16, 1))

    assert images.shape == (COUNT, 16, 16, 1)
    assert abs(int(images[0].mean()) - int(PIXELS[0].mean())) < 4


def test_labels_go_by_the_names_of_the_run(root):
    shuffled = [*CIFAR10_CLASSES[::-1]]
    shuffled[0] = "Truck"

    np.testing.assert_array_equal(read(root, class_names=shuffled)[1], 9 - LABELS)
    numbers = [str(number) for number in range(10)]
    np.testing.assert_array_equal(read(root, class_names=numbers)[1], LABELS)


@pytest.mark.parametrize("names", [(), ("cat", "dog"), (*CIFAR10_CLASSES[:9], "lorry")])
def test_images_of_other_classes_are_refused(root, names):
    with pytest.raises(DataError, match="are of CIFAR-10: expected the classes airplane"):
        published_batches(open_published(root, ["fog"], [2]), RULE, names)


def test_what_is_not_prepared_is_named_and_not_fetched(root):
    with pytest.raises(DataError, match=r"'cifar10_corrupted/fog_3' is not prepared in .*fog_2"):
        open_published(root, ["fog"], [2, 3])
