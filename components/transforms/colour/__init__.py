"""Colour augmentations."""
