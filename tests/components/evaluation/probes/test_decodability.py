import math

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.probes.decodability import (
    SPRITE_ANGLES,
    STRENGTHS,
    Angle,
    Decoded,
    decode_latents,
)

NAMES = ("shape", "scale", "orientation")


def sprites(images=600, seed=0):
    """Latents as dSprites has them: a shape of three, and numbers."""
    random = np.random.default_rng(seed)
    return np.stack(
        [
            random.integers(1, 4, images),
            random.uniform(0.5, 1, images),
            random.uniform(0, 2 * np.pi, images),
        ],
        axis=1,
    )


def split(embeddings, latents, names=NAMES, **options):
    half = len(latents) // 2
    return decode_latents(
        embeddings[:half], latents[:half], embeddings[half:], latents[half:], names, **options
    )


def one_hot(values):
    return (values[:, None] == np.unique(values)).astype(float)


class TestReadOuts:
    def test_what_is_written_in_plainly_is_read_and_the_rest_is_not(self):
        latents = sprites()
        noise = np.random.default_rng(1).normal(size=(600, 5))
        found = split(np.hstack([3 * latents[:, 1:2] + 7, noise]), latents)
        assert found["scale"].measure == "r2"
        assert found["scale"].score > 0.999
        assert found["shape"].measure == "accuracy"
        assert abs(found["shape"].score - found["shape"].chance) < 0.12
        assert abs(found["orientation"].score) < 0.1
        assert [*found] == [*NAMES]

    def test_a_shape_is_told_apart(self):
        latents = sprites()
        found = split(one_hot(latents[:, 0]), latents)
        assert found["shape"].score == 1
        expected = np.bincount(latents[:300, 0].astype(int)).argmax()
        assert found["shape"].chance == (latents[300:, 0] == expected).mean()

    def test_r2_is_that_of_a_ridge_regression_of_one_of_the_strengths(self):
        latents = sprites(200)
        noise = np.random.default_rng(1).normal(size=(200, 3))
        embeddings = latents[:, 1:2] + 0.1 * noise
        mean, spread = embeddings[:100].mean(0), embeddings[:100].std(0)
        rows = (embeddings - mean) / spread
        target = latents[:, 1]
        scores = [
            Ridge(strength).fit(rows[:100], target[:100]).score(rows[100:], target[100:])
            for strength in STRENGTHS
        ]
        assert split(embeddings, latents)["scale"].score == pytest.approx(
            scores[np.argmin(np.abs(np.array(scores) - split(embeddings, latents)["scale"].score))],
            abs=1e-9,
        )

    def test_an_angle_is_read_as_its_cosine_and_sine_within_each_shape(self):
        latents = sprites()
        turns = {1: 4, 2: 2, 3: 1}
        angles = latents[:, 2] * np.vectorize(turns.get)(latents[:, 0])
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        assert split(circle, latents)["orientation"].score > 0.999
        # A read-out that knows of no symmetry finds the hearts' third only.
        naive = {"orientation": Angle({0.0: 2 * math.pi})}
        assert split(circle, latents, angles=naive)["orientation"].score < 0.5

    def test_an_angle_whose_image_is_the_same_after_a_quarter_turn_has_that_period(self):
        latents = sprites()
        latents[:, 0] = 1
        quarter = latents.copy()
        quarter[:, 2] = latents[:, 2] % (np.pi / 2)
        noise = np.random.default_rng(0).normal(size=(600, 4))
        embeddings = np.hstack([np.cos(4 * latents[:, 2:]), noise])
        first, second = split(embeddings, latents), split(embeddings, quarter)
        assert first["orientation"].score == pytest.approx(second["orientation"].score)
        assert 0.4 < first["orientation"].score < 0.6

    def test_a_latent_of_one_value_is_left_out(self):
        latents = sprites()
        latents[:, 1] = 0.5
        assert [*split(one_hot(latents[:, 0]), latents)] == ["shape", "orientation"]

    def test_a_value_that_training_lacks_is_simply_missed(self):
        latents = sprites()
        latents[:300, 0] = np.where(latents[:300, 0] == 3, 2, latents[:300, 0])
        found = split(one_hot(latents[:, 0]), latents, angles={})
        assert found["shape"].score == (latents[300:, 0] != 3).mean()

    def test_scale_and_place_of_the_embeddings_do_not_matter(self):
        latents = sprites()
        embeddings = latents[:, 1:2] + np.random.default_rng(1).normal(size=(600, 3))
        first, second = split(embeddings, latents), split(1e3 * embeddings - 40, latents)
        for name in NAMES:
            assert first[name].score == pytest.approx(second[name].score, abs=1e-6)

    def test_more_images_than_wanted_are_drawn_from_by_the_seed(self):
        latents = sprites()
        embeddings = latents[:, 1:2] + np.random.default_rng(1).normal(size=(600, 3))
        first, again, other = (
            split(embeddings, latents, most_images=100, seed=seed) for seed in (0, 0, 1)
        )
        assert first == again
        assert first["scale"].images == 100
        assert first["scale"].score != other["scale"].score


class TestScores:
    @pytest.mark.parametrize(
        ("score", "chance", "expected"),
        [(1.0, 0.4, 1.0), (0.7, 0.4, 0.5), (0.3, 0.4, 0.0), (-5.0, 0.0, 0.0), (1.0, 1.0, 0.0)],
    )
    def test_the_share_of_the_way_from_chance_to_perfect(self, score, chance, expected):
        assert Decoded("r2", score, chance, 10).above_chance == pytest.approx(expected)


class TestRefusals:
    def test_columns_without_a_name(self):
        latents = sprites(20)
        with pytest.raises(EvaluationError, match=r"\[10, 2\].* shape is \[10, 3\]"):
            split(np.ones((20, 2)), latents, ("shape", "scale"))
        with pytest.raises(EvaluationError, match="different names"):
            split(np.ones((20, 2)), latents, ("shape", "scale", "scale"))

    def test_embeddings_of_two_widths_and_broken_ones(self):
        latents = sprites(20)
        with pytest.raises(EvaluationError, match="training has 2 and held-out 3"):
            decode_latents(np.ones((20, 2)), latents, np.ones((20, 3)), latents, NAMES)
        with pytest.raises(EvaluationError, match="test_embeddings must be finite"):
            decode_latents(np.ones((20, 2)), latents, np.full((20, 2), np.nan), latents, NAMES)

    def test_latents_that_are_no_numbers(self):
        latents = sprites(20)
        latents[3, 1] = np.nan
        with pytest.raises(EvaluationError, match="train_latents must be finite"):
            split(np.ones((20, 2)), latents)

    def test_a_shape_whose_period_is_not_known(self):
        # As the class number 0 for square would be, which the values call 1.
        latents = sprites(60)
        latents[:, 0] -= 1
        with pytest.raises(EvaluationError, match=r"shape \[1.0, 2.0, 3.0\], but shape 0 came"):
            split(np.random.default_rng(0).normal(size=(60, 2)), latents)

    def test_an_angle_without_the_latent_that_it_hangs_on(self):
        latents = sprites(60)
        with pytest.raises(EvaluationError, match="hangs on the latent shape"):
            split(np.ones((60, 2)), latents[:, 1:], NAMES[1:], angles=SPRITE_ANGLES)

    def test_a_shape_that_no_training_image_has(self):
        latents = sprites(60)
        latents[:30, 0] = 1
        with pytest.raises(EvaluationError, match="of shape 2 there are 0"):
            split(np.random.default_rng(0).normal(size=(60, 2)), latents)
