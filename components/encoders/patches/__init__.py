"""Encoders whose features are means over the patches of an image."""
