"""Accuracy on corrupted images: what is asked, and what is made of the answers."""

import itertools

import keras
import numpy as np
import pytest

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.embedding import embed
from twofold.components.evaluation.robustness.corruption_robustness import (
    Classifier,
    Robustness,
    corrupt_batches,
    measure_robustness,
    read_robustness,
    relative_metrics,
)
from twofold.components.transforms.corruptions.common_corruptions import (
    CORRUPTIONS,
    EXTRA,
    MAIN,
    SEVERITIES,
    corrupt,
)

NAMES = ("brightness", "gaussian_noise", "saturate")


@pytest.fixture(scope="module")
def encoder():
    """The mean of each channel, and of each quarter of the image."""
    inputs = keras.Input((16, 16, 3))
    quarters = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(inputs))
    means = keras.layers.GlobalAveragePooling2D()(inputs)
    return keras.Model(inputs, keras.layers.Concatenate()([means, quarters]))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 200, (41, 16, 16, 3), np.uint8)


IDENTITIES = np.arange(41, dtype=np.int64) * 3 + 5


def brighter_than(level):
    return lambda features: (features[:, 0] > level).astype(int)


@pytest.fixture(scope="module")
def labels(encoder, images):
    features = embed(encoder, images)
    wrong = np.arange(41) < 4
    return brighter_than(np.median(features[:, 0]))(features) ^ wrong


@pytest.fixture(scope="module")
def level(encoder, images):
    return float(np.median(embed(encoder, images)[:, 0]))


def measure(encoder, images, labels, level, batch_size=16, **options):
    rows = options.pop("rows", None)
    corrupted = corrupt_batches(
        images, labels, IDENTITIES, seed=2, rows=rows, batch_size=batch_size
    )
    measured = measure_robustness(
        {"one": Classifier(encoder, brighter_than(level))},
        images,
        labels,
        corrupted,
        **{"corruptions": NAMES, "severities": (1, 4), "rows": rows, "batch_size": batch_size}
        | options,
    )
    return measured["one"]


def test_each_cell_is_the_accuracy_on_the_held_out_images_of_that_corruption(
    encoder, images, labels, level
):
    measured = measure(encoder, images, labels, level)

    assert measured.clean == pytest.approx(37 / 41)
    assert set(measured.accuracies) == set(itertools.product(NAMES, (1, 4)))
    for (name, severity), accuracy in measured.accuracies.items():
        spoilt = corrupt(images, name, severity, seed=2, key_hashes=IDENTITIES)
        guessed = brighter_than(level)(embed(encoder, spoilt))
        assert accuracy == (guessed == labels).mean()
    assert measured.accuracies["brightness", 4] < measured.accuracies["brightness", 1] < 0.9


@pytest.mark.parametrize("batch_size", [1, 7, 41, 1000])
def test_the_size_of_batches_does_not_matter(encoder, images, labels, level, batch_size):
    assert measure(encoder, images, labels, level, batch_size) == measure(
        encoder, images, labels, level
    )


def test_some_rows_only(encoder, images, labels, level):
    rows = np.array([1, 5, 20, 40])

    some = measure(encoder, images, labels, level, rows=rows, batch_size=3)

    assert some.clean == 0.75
    assert set(some.accuracies.values()) <= {0, 0.25, 0.5, 0.75, 1}
    spoilt = corrupt(images[rows], "brightness", 4, seed=2, key_hashes=IDENTITIES[rows])
    guessed = brighter_than(level)(embed(encoder, spoilt))
    assert some.accuracies["brightness", 4] == (guessed == labels[rows]).mean()


def test_progress_counts_every_image_once(encoder, images, labels, level):
    seen: list[int] = []

    measure(encoder, images, labels, level, batch_size=30, progress=seen.append)

    assert seen[:4] == [30, 41, 71, 82]
    assert seen[-1] == 41 * 7


def test_several_classifiers_are_asked_about_images_that_are_corrupted_once(
    encoder, images, labels, level
):
    made = []
    corrupt_them = corrupt_batches(images, labels, IDENTITIES, seed=2)

    def corrupted(name, severity):
        made.append((name, severity))
        return corrupt_them(name, severity)

    levels = {"own": level, "higher": level + 0.05, "never": 2.0}
    measured = measure_robustness(
        {name: Classifier(encoder, brighter_than(at)) for name, at in levels.items()},
        images,
        labels,
        corrupted,
        corruptions=NAMES,
        severities=(1, 4),
    )

    assert made == list(itertools.product(NAMES, (1, 4)))
    assert measured == {name: measure(encoder, images, labels, at) for name, at in levels.items()}
    assert set(measured["never"].accuracies.values()) == {(labels == 0).mean()}


def test_only_a_few_batches_are_in_memory_at_once(encoder, images, labels, level):
    made: list[int] = []
    embedded: list[int] = []

    def corrupted(name, severity):
        for start in range(0, 40, 4):
            made.append(start)
            assert len(made) - len(embedded) <= 3
            yield images[start : start + 4], labels[start : start + 4]

    measure_robustness(
        {"one": Classifier(encoder, brighter_than(level))},
        images[:40],
        labels[:40],
        corrupted,
        corruptions=["fog"],
        severities=[1],
        batch_size=40,
        progress=embedded.append,
    )
    assert len(made) == 10


def test_what_goes_wrong_in_the_making_of_a_batch_is_not_lost(encoder, images, labels, level):
    def corrupted(name, severity):
        yield images[:2], labels[:2]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        measure_robustness(
            {"one": Classifier(encoder, brighter_than(level))},
            images,
            labels,
            corrupted,
            corruptions=["fog"],
            severities=[1],
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corruptions": ["rain"]}, "unknown corruption 'rain': expected one of gaussian_noise"),
        ({"severities": [6]}, "unknown severity 6"),
        ({"corruptions": []}, "there are 1, 41, 0 and 2"),
        ({"severities": []}, "there are 1, 41, 3 and 0"),
        ({"rows": np.arange(0)}, "there are 1, 0, 3 and 2"),
    ],
)
def test_nothing_to_measure_is_refused(encoder, images, labels, level, options, message):
    with pytest.raises(ValueError, match=message):
        measure(encoder, images, labels, level, **options)


def made_up(names=CORRUPTIONS, severities=SEVERITIES, clean=0.9, seed=0):
    random = np.random.default_rng(seed)
    cells = {cell: float(random.uniform(0.2, 0.8)) for cell in itertools.product(names, severities)}
    return Robustness(clean, cells)


def test_means_are_over_the_main_corruptions_and_over_all():
    measured = made_up()
    cells = measured.accuracies
    metrics = measured.metrics()

    main = np.mean([cells[name, one] for name in MAIN for one in SEVERITIES])
    assert metrics["robustness/clean_accuracy"] == 0.9
    assert metrics["robustness/fog/3/accuracy"] == cells["fog", 3]
    assert metrics["robustness/fog/accuracy"] == pytest.approx(
        np.mean([cells["fog", one] for one in SEVERITIES])
    )
    assert metrics["robustness/mean_accuracy"] == pytest.approx(main)
    assert metrics["robustness/mean_accuracy_all"] == pytest.approx(np.mean([*cells.values()]))
    assert metrics["robustness/mean_accuracy_severity_5"] == pytest.approx(
        np.mean([cells[name, 5] for name in MAIN])
    )
    assert metrics["robustness/mce_unnormalised"] == pytest.approx(1 - main)
    assert metrics["robustness/relative_mce_unnormalised"] == pytest.approx(0.9 - main)
    assert len(metrics) == 1 + 19 * 6 + 1 + 5 + 1 + 2
    assert all(type(value) is float for value in metrics.values())


def test_a_mean_over_all_is_given_only_where_more_than_the_main_ones_were_measured():
    assert "robustness/mean_accuracy_all" not in made_up(MAIN).metrics()
    extra = made_up(EXTRA, (2, 4)).metrics()
    assert "robustness/mean_accuracy" not in extra
    assert "robustness/mean_accuracy_all" in extra


def test_the_order_is_that_of_the_benchmark():
    measured = made_up(("saturate", "fog", "gaussian_noise"), (5, 1, 3))

    assert measured.corruptions == ("gaussian_noise", "fog", "saturate")
    assert measured.severities == (1, 3, 5)


def test_corruption_errors_worked_by_hand():
    ours = Robustness(0.9, {("fog", 1): 0.8, ("fog", 5): 0.4, ("snow", 1): 0.7, ("snow", 5): 0.7})
    theirs = Robustness(0.8, {("fog", 1): 0.6, ("fog", 5): 0.2, ("snow", 1): 0.7, ("snow", 5): 0.4})

    metrics = relative_metrics(ours, theirs)

    # Errors: fog .2 + .6 over .4 + .8, snow .3 + .3 over .3 + .6.
    assert metrics["robustness/fog/ce"] == pytest.approx(0.8 / 1.2)
    assert metrics["robustness/snow/ce"] == pytest.approx(0.6 / 0.9)
    assert metrics["robustness/mce"] == pytest.approx(2 / 3)
    # Less the errors on clean images, .1 and .2, twice each.
    assert metrics["robustness/relative_mce"] == pytest.approx((0.6 / 0.8 + 0.4 / 0.5) / 2)


def test_a_baseline_is_as_good_as_itself():
    metrics = relative_metrics(made_up(), made_up())

    assert metrics["robustness/mce"] == pytest.approx(1)
    assert metrics["robustness/relative_mce"] == pytest.approx(1)
    assert sum(name.endswith("/ce") for name in metrics) == 19


def test_extra_corruptions_are_in_no_mean():
    ours, theirs = made_up(MAIN), made_up(MAIN, seed=1)
    cells = dict.fromkeys(itertools.product(EXTRA, SEVERITIES), 0.0)

    more = Robustness(0.9, {**ours.accuracies, **cells})
    than = Robustness(0.9, {**theirs.accuracies, **cells})

    assert relative_metrics(more, than)["robustness/mce"] == pytest.approx(
        relative_metrics(ours, theirs)["robustness/mce"]
    )


def test_there_is_no_mean_where_there_is_nothing_to_divide_by():
    ours = Robustness(0.9, {("fog", 1): 0.8, ("snow", 1): 0.7})
    perfect = Robustness(1.0, {("fog", 1): 1.0, ("snow", 1): 0.5})
    unhurt = Robustness(0.8, {("fog", 1): 0.85, ("snow", 1): 0.5})

    assert relative_metrics(ours, perfect) == {"robustness/snow/ce": pytest.approx(0.6)}
    assert "robustness/relative_mce" not in relative_metrics(ours, unhurt)
    assert relative_metrics(ours, unhurt)["robustness/mce"] == pytest.approx(
        (0.2 / 0.15 + 0.3 / 0.5) / 2
    )


def test_a_baseline_is_read_from_its_metrics():
    measured = made_up()

    assert read_robustness(measured.metrics(), [*CORRUPTIONS], SEVERITIES) == measured
    part = read_robustness(measured.metrics(), MAIN, (1, 2))
    assert part.accuracies == {
        cell: measured.accuracies[cell] for cell in itertools.product(MAIN, (1, 2))
    }


def test_a_baseline_that_was_not_measured_likewise_is_refused():
    metrics = made_up(MAIN, (1, 2)).metrics()

    with pytest.raises(EvaluationError, match=r"all 45 kinds .* but 15 are missing, the first rob"):
        read_robustness(metrics, MAIN, (1, 2, 3))
    with pytest.raises(EvaluationError, match="1 are missing, the first robustness/clean_accuracy"):
        read_robustness(
            {name: value for name, value in metrics.items() if "clean" not in name}, MAIN, (1, 2)
        )
