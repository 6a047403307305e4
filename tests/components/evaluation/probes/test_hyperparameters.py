import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.probes.hyperparameters import best_setting, validation_rows
from twofold.components.evaluation.probes.linear_probe import (
    choose_regularisation,
    fit_logistic_regression,
)


def keys(count):
    return np.array([f"é/{number}.png" for number in range(count)], dtype=np.dtypes.StringDType())


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=80), share=st.floats(0.05, 0.9))
def test_each_class_gives_its_share_and_keeps_an_image(labels, share):
    labels = np.array(labels)
    marked = validation_rows(keys(len(labels)), labels, share=share)
    for label in np.unique(labels):
        count = (labels == label).sum()
        expected = 0 if count == 1 else max(1, int(share * count))
        assert marked[labels == label].sum() == expected < count


@given(seed=st.integers(0, 100))
def test_the_choice_follows_the_key_and_not_the_place(seed):
    labels, order = np.arange(50) % 3, np.random.default_rng(seed).permutation(50)
    marked = validation_rows(keys(50), labels)
    np.testing.assert_array_equal(validation_rows(keys(50)[order], labels[order]), marked[order])
    assert not np.array_equal(validation_rows(keys(50), labels, seed=1), marked)


def test_the_best_is_the_highest_then_the_next_score_then_the_smallest():
    assert best_setting({1: (0.5,), 20: (0.9,), 5: (0.9,)}) == 5
    assert best_setting({0.1: (0.9, -2.0), 10.0: (0.9, -1.0)}) == 10.0


class TestStrength:
    def drawn(self, images, noise=6.0):
        random = np.random.default_rng(0)
        labels = random.integers(0, 2, images)
        embeddings = random.normal(size=(images, 60)) * noise
        embeddings[:, 0] += labels
        return embeddings.astype(np.float32), labels

    def choose(self, strengths, noise=6.0):
        embeddings, labels = self.drawn(120, noise)
        return choose_regularisation(
            embeddings[:80],
            labels[:80],
            embeddings[80:],
            labels[80:],
            classes=2,
            strengths=strengths,
        )

    def test_is_the_one_of_highest_accuracy_on_what_was_not_fitted(self):
        embeddings, labels = self.drawn(120)
        strengths = (1e-4, 1e-2, 1.0)
        accuracies = {
            one: fit_logistic_regression(
                embeddings[:80], labels[:80], classes=2, regularisation=one
            ).accuracy(embeddings[80:], labels[80:])
            for one in strengths
        }
        chosen = self.choose(strengths)
        assert accuracies[chosen] == max(accuracies.values())

    def test_more_noise_never_changes_which_are_allowed(self):
        assert self.choose((0.5,)) == 0.5
        with pytest.raises(EvaluationError, match="there is none"):
            self.choose(())
