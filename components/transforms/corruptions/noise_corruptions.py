"""Noise corruptions, independent for each value of each pixel.

Hendrycks & Dietterich (2019), "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", with the parameters of CIFAR-10-C. Noise has no length: on a larger image its grains
are as small.
"""

from __future__ import annotations

import numpy as np

from twofold.components.transforms.corruptions.corruption import Corruption, Draws, to_unit


def _sample_normal(random: np.random.Generator, image: np.ndarray, scale: float) -> Draws:
    return (random.standard_normal(image.shape, np.float32),)


def _gaussian_noise(images: np.ndarray, draws: Draws, scale: float) -> np.ndarray:
    """Gives x + N(0, scale)."""
    return to_unit(images) + np.float32(scale) * draws[0]


def _speckle_noise(images: np.ndarray, draws: Draws, scale: float) -> np.ndarray:
    """Gives x + x N(0, scale)."""
    unit = to_unit(images)
    return unit + unit * (np.float32(scale) * draws[0])


def _sample_photons(random: np.random.Generator, image: np.ndarray, photons: float) -> Draws:
    return (random.poisson(image * (photons / 255)).astype(np.float32),)


def _shot_noise(images: np.ndarray, draws: Draws, photons: float) -> np.ndarray:
    """Gives Poisson(x photons) / photons."""
    return draws[0] / np.float32(photons)


def _sample_impulses(random: np.random.Generator, image: np.ndarray, amount: float) -> Draws:
    struck = random.random(image.shape, np.float32) < amount
    return struck, random.random(image.shape, np.float32) < 0.5


def _impulse_noise(images: np.ndarray, draws: Draws, amount: float) -> np.ndarray:
    """Puts 1 or 0, as likely, in place of a share of all values, the channels of a pixel apart."""
    struck, salt = draws
    return np.where(struck, salt.astype(np.float32), to_unit(images))


NOISES = {
    "gaussian_noise": Corruption(
        "noise", (0.04, 0.06, 0.08, 0.09, 0.10), _gaussian_noise, _sample_normal
    ),
    "shot_noise": Corruption("noise", (500, 250, 100, 75, 50), _shot_noise, _sample_photons),
    "impulse_noise": Corruption(
        "noise", (0.01, 0.02, 0.03, 0.05, 0.07), _impulse_noise, _sample_impulses
    ),
    "speckle_noise": Corruption(
        "noise", (0.06, 0.1, 0.12, 0.16, 0.2), _speckle_noise, _sample_normal, main=False
    ),
}
