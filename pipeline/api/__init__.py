"""Twofold: self-supervised image encoders, from folders of images to a service."""
