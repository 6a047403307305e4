"""Generative methods and clustering: images rebuilt from codes, or from atoms."""
