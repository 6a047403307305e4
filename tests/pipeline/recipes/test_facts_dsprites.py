"""Recipe E against a table of facts from its source, Neuromatch's tutorial on dSprites.

What the source draws at random is held to the distribution that it states, over 4,096 images.
"""

import dataclasses
import itertools
import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from twofold.components.encoders.heads import build_linear_head
from twofold.components.encoders.layers.upsampled import UpsampledConv2DTranspose
from twofold.components.training.loop import LoopSettings
from twofold.components.training.method import Method, MethodInput
from twofold.components.transforms.geometry.affine import (
    AffineParameters,
    AffineRanges,
    apply_affine,
    sample_affine,
)
from twofold.components.transforms.policies_settings import AffineViewsSettings
from twofold.pipeline.config import RunConfig
from twofold.pipeline.models.build import build_training_schedule
from twofold.pipeline.models.method_builder import build_method
from twofold.pipeline.recipes import load_recipe
from twofold.pipeline.studies.study_members import epochs_on_fewer, member_config, study_of

SHAPE = (64, 64, 1)
SIMCLR, VAE = load_recipe("dsprites_simclr"), load_recipe("dsprites_vae")
STUDY, BIAS = load_recipe("dsprites_study"), load_recipe("dsprites_bias_study")
FRACTIONS = (0.05, 0.1, 0.2, 0.4, 0.75, 1.0)
KEYS = tf.constant(np.random.default_rng(0).integers(0, 2**32, 4096, dtype=np.uint32))
# Weights and biases of each layer: two convolutions of 5x5, three dense layers.
ENCODER = (6 * 25 + 6, 16 * 6 * 25 + 16, 2_704 * 120 + 120, 120 * 84 + 84, 84 * 84 + 84)
DECODER = (
    *(84 * 84 + 84, 84 * 120 + 120, 120 * 2_704 + 2_704),
    *(16 * 6 * 25 + 6, 6 * 1 * 25 + 1),
)


def built(config: RunConfig) -> Any:
    method = dataclasses.replace(build_method(config, SHAPE, 3, 10), compile_views=False)  # type: ignore[type-var]
    assert isinstance(method, Method)
    return method


@pytest.fixture(scope="module")
def vae() -> Any:
    return built(VAE)


def trained(network: keras.Model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


def statistics(network: keras.Model) -> int:
    total: int = network.count_params()
    return total - trained(network)


class TestNetworks:
    def test_the_encoder_has_the_published_layers(self, vae: Any) -> None:
        assert sum(ENCODER) == 344_476
        assert trained(vae.encoder) == sum(ENCODER)
        # A mean and a variance of each channel: no normalisation has scale or offset.
        assert statistics(vae.encoder) == 2 * (6 + 16 + 120 + 84 + 84)
        assert vae.encoder.output_shape == (None, 84)
        assert vae.encoder.get_layer("flatten").output.shape == (None, 2_704)

    def test_the_third_dense_layer_is_the_mean_of_the_code(self, vae: Any) -> None:
        images = np.random.default_rng(1).uniform(size=(4, *SHAPE)).astype(np.float32)
        features, mean, log_variance = vae._code(images, training=False)
        np.testing.assert_array_equal(features, mean)
        np.testing.assert_allclose(mean, vae.encoder(images, training=False), atol=1e-6)
        # A second head of the same kind beside it.
        assert vae.head.input_shape == (None, 84)
        assert trained(vae.head) == ENCODER[-1]
        assert statistics(vae.head) == 2 * 84
        assert log_variance.shape == (4, 84)

    def test_the_decoder_mirrors_the_encoder(self, vae: Any) -> None:
        assert trained(vae.decoder) == sum(DECODER) == 347_081
        assert statistics(vae.decoder) == 2 * (84 + 120 + 16 + 6)
        assert vae.decoder.input_shape == (None, 84)
        assert vae.decoder.output_shape == (None, *SHAPE)

    def test_batch_norm_is_pytorchs(self, vae: Any) -> None:
        for network in (vae.encoder, vae.head, vae.decoder):
            norms = [one for one in network.layers if hasattr(one, "moving_mean")]
            assert norms
            # PyTorch's momentum of 0.1 is the weight of the new value.
            assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.9, 1e-5)}

    def test_projections_are_the_features(self) -> None:
        assert SIMCLR.method.model_dump()["projector"] == ()
        assert SIMCLR.method.model_dump()["temperature"] == 0.5

    def test_all_weights_and_biases_start_as_pytorchs(self, vae: Any) -> None:
        head = build_linear_head(84, 3, seed=0, initializer=VAE.encoder.classifier_initializer)
        layers = itertools.chain.from_iterable(
            one.layers for one in (vae.encoder, vae.head, vae.decoder, head)
        )
        uniform = []
        for layer in layers:
            if not layer.trainable_variables:
                continue
            kernel, bias = (variable.numpy() for variable in layer.trainable_variables)
            # PyTorch counts the outputs of a transposed convolution as what it reads.
            transposed = isinstance(layer, UpsampledConv2DTranspose)
            fan_in = 25 * len(bias) if transposed else kernel.size // len(bias)
            bound = 1 / math.sqrt(fan_in)
            for values in (kernel, bias):
                assert np.abs(values).max() <= bound
                uniform.append(values.ravel() / bound)
        assert stats.kstest(np.concatenate(uniform), stats.uniform(-1, 2).cdf).pvalue > 0.001
        assert stats.kstest(uniform[1], stats.uniform(-1, 2).cdf).pvalue > 0.001


class TestTraining:
    @pytest.mark.parametrize(
        ("config", "period", "steps"),
        [
            (SIMCLR, 500, 16),
            (VAE, 500, 32),
            (member_config(STUDY, "supervised", 0), 100, 16),
            (member_config(BIAS, "supervised_biased", 0), 100, 6),
            (member_config(BIAS, "simclr_biased", 0), 500, 6),
            (member_config(BIAS, "vae_control", 0), 500, 12),
        ],
    )
    def test_the_rate_is_a_cosine_over_many_epochs_stepped_once_an_epoch(
        self, config: RunConfig, period: int, steps: int
    ) -> None:
        training = config.training
        assert (training.optimizer, training.epsilon) == ("adam", None)
        length = LoopSettings(steps * training.epochs, steps, log_every=1, checkpoint_every=steps)
        schedule = build_training_schedule(training, length)
        # PyTorch's rises again after its period.
        for epoch in (0, 1, 9, 59, 99, 100, 101, 149, 299, 357):
            expected = 0.001 * (1 + math.cos(math.pi * epoch / period)) / 2
            for step in (epoch * steps, epoch * steps + steps - 1):
                assert float(schedule(step)) == pytest.approx(expected, rel=1e-4, abs=1e-9)

    def test_batches_and_epochs_are_the_published_ones(self) -> None:
        expected = {
            "supervised": ("supervised", 1000, 10, 10),
            "simclr": ("simclr", 1000, 60, 10),
            "two_negatives": ("simclr", 1000, 60, 50),
            "vae": ("vae", 500, 300, 25),
            "random": ("random", 1000, None, 25),
        }
        for encoder, (method, batch, epochs, probe) in expected.items():
            config = member_config(STUDY, encoder, 0)
            assert (config.method.name, config.training.batch_size) == (method, batch)
            assert epochs in (None, config.training.epochs)
            assert config.evaluation.probe_epochs == probe
            # PyTorch's loader gives a last, smaller batch.
            assert config.training.last_batch == "keep"
            assert config.evaluation.probe_schedule_epochs == 100
            assert config.evaluation.probe_batch_size == 1000
        assert study_of(STUDY).pixel_epochs == 25
        two = member_config(STUDY, "two_negatives", 0)
        assert two.method.model_dump()["negatives"] == 2

    def test_what_the_tutorial_loads_from_a_file_is_normalised_by_the_images(self) -> None:
        for encoder in study_of(STUDY).encoders:
            config = member_config(STUDY, encoder, 0)
            trained_here = encoder == "supervised"
            expected = "training" if trained_here else "images"
            assert config.training.batch_statistics == expected

    def test_the_bias_study_trains_longer_on_fewer_images(self) -> None:
        expected = {"supervised": (80, 1000), "vae": (450, 500), "simclr": (150, 1000)}
        for images in ("biased", "control"):
            for encoder, (epochs, batch) in expected.items():
                config = member_config(BIAS, f"{encoder}_{images}", 0)
                assert (config.training.epochs, config.training.batch_size) == (epochs, batch)
            for encoder in ("random", "vae", "simclr"):
                config = member_config(BIAS, f"{encoder}_{images}", 0)
                assert config.evaluation.probe_epochs == 30
        network = member_config(BIAS, "simclr_biased", 0).encoder
        assert network == SIMCLR.encoder

    @pytest.mark.parametrize(
        ("epochs", "expected"),
        [
            (20, (90, 64, 45, 32, 24, 20)),
            (8, (36, 26, 18, 13, 10, 8)),
            (80, (358, 253, 179, 127, 93, 80)),
            (30, (135, 95, 68, 48, 35, 30)),
        ],
    )
    def test_epochs_on_fewer_labels_are_divided_by_the_root_of_the_share(
        self, epochs: int, expected: tuple[int, ...]
    ) -> None:
        assert tuple(epochs_on_fewer(epochs, share) for share in FRACTIONS) == expected

    def test_the_curves_are_of_six_shares_and_four_encoders(self) -> None:
        for study in (study_of(STUDY), study_of(BIAS)):
            assert study.label_fractions == FRACTIONS
            for group in study.curve_groups.values():
                names = [name.removesuffix("_biased").removesuffix("_control") for name in group]
                assert sorted(names) == ["random", "simclr", "supervised", "vae"]
        assert study_of(STUDY).fraction_training_epochs == 20
        assert study_of(STUDY).fraction_probe_epochs == 8


class TestSplit:
    def test_the_published_permutation_holds_out_a_fifth_and_a_twentieth(self) -> None:
        for config, share in ((STUDY, 0.2), (BIAS, 0.05)):
            split = config.data.source.model_dump()["permuted_split"]
            assert split == {"seed": 2021, "test_share": share}

    def test_the_biased_set_keeps_three_ranges_of_positions(self) -> None:
        rules = member_config(BIAS, "simclr_biased", 0).data.training_rules
        positions = np.linspace(0, 1, 32)
        for shape, expected in enumerate((range(10), range(11, 21), range(22, 31))):
            (rule,) = (rule for rule in rules if rule["label"] == (shape, shape))
            low, high = rule["posX"]
            kept = np.flatnonzero((positions >= low) & (positions <= high))
            assert kept.tolist() == list(expected)


class TestViews:
    RANGES = AffineRanges(90, 0.2, (0.8, 1.2), "zero", "nearest")

    def test_the_recipe_has_the_published_ranges(self) -> None:
        views = SIMCLR.views
        assert isinstance(views, AffineViewsSettings)
        assert (views.rotation_degrees, views.translation) == (90, 0.2)
        assert (views.scale, views.border, views.interpolation) == ((0.8, 1.2), "zero", "nearest")

    def test_angle_shift_and_scale_are_uniform_and_independent(self) -> None:
        drawn = sample_affine(KEYS, self.RANGES, 64, 64)
        angles, scales, shifts = (one.numpy() for one in (drawn.angle, drawn.scale, drawn.shift))
        assert stats.kstest(angles, stats.uniform(-math.pi / 2, math.pi).cdf).pvalue > 0.001
        assert stats.kstest(scales, stats.uniform(0.8, 0.4).cdf).pvalue > 0.001
        # A fifth of 64 pixels is 12.8, rounded to whole pixels.
        np.testing.assert_array_equal(shifts, np.round(shifts))
        assert np.abs(shifts).max() == 13
        # From -12.5 to 12.5 each pixel takes a width of 1 of 25.6, at the ends 0.3.
        counts = np.bincount((shifts[:, 0] + 13).astype(int), minlength=27)
        widths = np.array([0.3, *[1.0] * 25, 0.3]) / 25.6
        assert stats.chisquare(counts, widths * len(shifts)).pvalue > 0.001
        together = np.stack([angles, scales, shifts[:, 0], shifts[:, 1]])
        # The correlation of 4,096 independent pairs has a deviation of 0.016.
        assert np.abs(np.corrcoef(together) - np.eye(4)).max() < 0.06

    def test_views_take_the_nearest_pixel_and_black_beyond_the_edge(self) -> None:
        image = np.random.default_rng(0).integers(0, 2, (1, 8, 8, 1)).astype(np.float32)

        def moved(angle: float, shift: tuple[float, float], scale: float) -> np.ndarray:
            parameters = AffineParameters(
                *(tf.constant([one], tf.float32) for one in (angle, shift, scale))
            )
            found: np.ndarray = apply_affine(image, parameters, "zero", "nearest").numpy()
            return found[0, :, :, 0]

        pixels = image[0, :, :, 0]
        # Clockwise, as torchvision's.
        np.testing.assert_array_equal(moved(math.pi / 2, (0, 0), 1), np.rot90(pixels, -1))
        shifted = np.zeros_like(pixels)
        shifted[3:, :-2] = pixels[:-3, 2:]
        np.testing.assert_array_equal(moved(0, (-2, 3), 1), shifted)
        # Twice as large: each pixel of the middle becomes four.
        np.testing.assert_array_equal(
            moved(0, (0, 0), 2), pixels[2:6, 2:6].repeat(2, axis=0).repeat(2, axis=1)
        )
        assert set(np.unique(moved(0.7, (0, 0), 1.1))) <= {0.0, 1.0}


class TestLosses:
    """Losses with the first weights, on fixed images, by the source's formulas written out."""

    IMAGES = (np.random.default_rng(5).uniform(size=(2, *SHAPE)) > 0.5).astype(np.uint8) * 255

    def loss(self, method: Any, labels: tuple[int, int] = (0, 2)) -> Any:
        batch = MethodInput(
            images=tf.constant(self.IMAGES),
            labels=tf.constant(labels),
            keys=tf.constant([3, 4], tf.uint32),
            step=tf.constant(0, tf.int64),
        )
        return method(batch)

    def cosines(self, method: Any) -> np.ndarray:
        """All four views against each other: each image, then each mirrored."""
        views = (self.IMAGES, self.IMAGES[:, :, ::-1])
        rows: np.ndarray = np.concatenate(
            [method.encoder(view.astype(np.float32) / 255, training=True) for view in views]
        )
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        found: np.ndarray = rows @ rows.T
        return found

    @pytest.mark.parametrize("negatives", ["all", 2])
    def test_the_contrastive_loss(self, negatives: Any) -> None:
        views = (lambda images, keys: images, lambda images, keys: tf.reverse(images, [2]))
        method = dataclasses.replace(built(SIMCLR), views=views, negatives=negatives)
        scores = np.exp(self.cosines(method) / 0.5)
        losses = []
        for anchor in range(4):
            partner = (anchor + 2) % 4
            # Of two images, the two negatives of an anchor are both views of the other one. The
            # positive is in the denominator where all are, and not where some were drawn.
            others = [i for i in range(4) if i not in (anchor, partner)]
            below = others if negatives == 2 else [*others, partner]
            losses.append(-math.log(scores[anchor, partner] / scores[anchor, below].sum()))
        assert float(self.loss(method).loss) == pytest.approx(np.mean(losses), rel=1e-3)

    def test_the_supervised_loss(self) -> None:
        method = built(member_config(STUDY, "supervised", 0))
        features = method.encoder(self.IMAGES.astype(np.float32) / 255, training=True)
        logits = method.head(features).numpy().astype(float)
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected = -np.log([chances[0, 0], chances[1, 2]]).mean()
        assert float(self.loss(method).loss) == pytest.approx(expected, rel=1e-4)

    def test_the_vaes_loss(self, vae: Any) -> None:
        images = self.IMAGES.astype(np.float32) / 255
        output = self.loss(vae)
        _, mean, log_variance = (one.numpy() for one in vae._code(images, training=True))
        divergence = -0.5 * np.sum(1 + log_variance - mean**2 - np.exp(log_variance)) / 2
        assert float(output.metrics["kl"]) == pytest.approx(divergence, rel=1e-4)

    def test_a_code_without_spread_is_decoded_from_its_mean(self, vae: Any) -> None:
        narrow = keras.layers.Dense(84, kernel_initializer="zeros", bias_initializer=_narrow)
        head = keras.Sequential([keras.Input((84,)), narrow], name="log_variance_head")
        output = self.loss(dataclasses.replace(vae, head=head))
        images = self.IMAGES.astype(np.float32) / 255
        logits = vae.decoder(vae.encoder(images, training=True), training=True)
        shown = 1 / (1 + np.exp(-logits.numpy().astype(float)))
        # Summed over the pixels, the mean over the images.
        losses = -(images * np.log(shown) + (1 - images) * np.log(1 - shown))
        expected = losses.sum(axis=(1, 2, 3)).mean()
        assert float(output.metrics["reconstruction"]) == pytest.approx(expected, rel=1e-4)
        total = output.metrics["kl"] + output.metrics["reconstruction"]
        assert float(output.loss) == pytest.approx(float(total), rel=1e-6)


def _narrow(shape: tuple[int, ...], dtype: Any = None) -> Any:
    return tf.fill(shape, tf.constant(-60.0, dtype))
