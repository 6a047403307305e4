import math

import numpy as np
import pytest

from twofold.components.errors import ConversionError
from twofold.components.export.convert.compare_outputs import (
    Tolerances,
    accuracy_drop,
    compare_embeddings,
    judge,
    largest_difference,
)

EXPECTED = np.array([[3.0, 4.0], [4.0, 3.0]], np.float32)


def one_hot(classes):
    return np.eye(3, dtype=np.float32)[classes]


def test_the_largest_difference_is_a_share_of_the_largest_value():
    found = EXPECTED + np.array([[0.0, -0.2], [0.1, 0.0]], np.float32)

    assert largest_difference(EXPECTED, found) == pytest.approx(0.2 / 4)


def test_cosines_of_a_hand_worked_case():
    found = EXPECTED[::-1]

    difference = compare_embeddings(EXPECTED, found)

    # (3, 4) with (4, 3): 24 / 25; centred they point away from each other.
    assert difference.mean_cosine == pytest.approx(24 / 25)
    assert difference.mean_centred_cosine == pytest.approx(-1)


def test_what_all_embeddings_share_does_not_hide_a_difference():
    random = np.random.default_rng(0)
    expected = 10 + random.normal(size=(50, 8))
    difference = compare_embeddings(expected, 10 + random.normal(size=(50, 8)))

    assert difference.mean_cosine > 0.97
    assert abs(difference.mean_centred_cosine) < 0.2


@pytest.mark.parametrize("count", [1, 3])
def test_equal_embeddings_have_no_centred_cosine(count):
    expected = np.repeat(EXPECTED[:1], count, axis=0)

    difference = compare_embeddings(expected, expected * 1.001)

    assert difference.mean_cosine == pytest.approx(1)
    assert math.isnan(difference.mean_centred_cosine)


def test_zero_embeddings_are_alike_each_other_and_unlike_others():
    zero, other = np.zeros((2, 2), np.float32), EXPECTED

    assert compare_embeddings(zero, zero).mean_cosine == 1
    assert compare_embeddings(other, zero).mean_cosine == 0


def test_an_accuracy_drop_of_a_hand_worked_case():
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    before, after = labels.copy(), labels.copy()
    before[0] = 1  # only the second is right
    after[1:4] = (after[1:4] + 1) % 3  # only the first is
    drop = accuracy_drop(one_hot(before), one_hot(after), labels)

    assert (drop.before, drop.after) == (0.9, 0.7)
    error = math.sqrt(3 + 1 - (3 - 1) ** 2 / 10) / 10
    assert drop.certain == pytest.approx(0.2 - 1.645 * error)


def test_equal_classifications_lose_nothing():
    logits = one_hot([0, 1, 2])

    assert accuracy_drop(logits, logits, np.array([0, 1, 1])).certain == 0


def judged(found, labels=None, *, quantised=False, **tolerances):
    logits = {} if labels is None else {"logits": one_hot([0, 1])}
    return judge(
        "file",
        {"embedding": EXPECTED} | logits,
        found,
        labels,
        Tolerances(**tolerances),
        quantised=quantised,
    )


def test_equal_outputs_pass():
    measured = judged({"embedding": EXPECTED})

    assert (measured.largest_difference, measured.accuracy) == (0, None)
    assert measured.mean_centred_cosine == pytest.approx(1)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"logits": EXPECTED}, "file gives logits: expected embedding"),
        ({"embedding": EXPECTED[:1]}, r"expected an output of shape \(2, 2\)"),
        ({"embedding": EXPECTED * np.nan}, "finite"),
        ({"embedding": EXPECTED * 1.01}, "differ by 1.00e-02 of the largest"),
        ({"embedding": np.zeros_like(EXPECTED)}, r"mean cosine .* is 0\.00000"),
    ],
)
def test_other_outputs_are_refused(found, message):
    with pytest.raises(ConversionError, match=message):
        judged(found)


def test_quantised_outputs_may_differ_in_value_but_not_in_direction():
    assert judged({"embedding": EXPECTED * 1.01}, quantised=True).largest_difference > 0.009
    with pytest.raises(ConversionError, match="mean centred cosine"):
        judged({"embedding": EXPECTED[::-1]}, quantised=True)


def test_quantised_outputs_cannot_be_judged_by_images_that_are_all_alike():
    same = np.ones((2, 2), np.float32)
    with pytest.raises(ConversionError, match="all sample images one embedding"):
        judge("file", {"embedding": same}, {"embedding": same}, None, Tolerances(), quantised=True)


def test_a_loss_of_accuracy_is_refused_only_where_it_is_certain():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 1000)
    # Of every twenty images the second classifies one wrongly.
    wrong = np.arange(1000) % 20 == 0
    right, worse = one_hot(labels), one_hot((labels + wrong) % 3)
    embedding = random.normal(size=(1000, 4)).astype(np.float32)

    def of(count):
        return judge(
            "file",
            {"embedding": embedding[:count], "logits": right[:count]},
            {"embedding": embedding[:count], "logits": worse[:count]},
            labels[:count],
            Tolerances(),
            quantised=True,
        )

    assert of(40).accuracy_drop == pytest.approx(0.05)
    with pytest.raises(ConversionError, match=r"its accuracy is 95.00% where .* is 100.00%"):
        of(1000)
