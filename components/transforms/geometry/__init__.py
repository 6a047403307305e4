"""Geometric augmentations: crops, affine maps, zoom."""
