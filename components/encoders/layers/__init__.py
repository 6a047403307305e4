"""Layers and initializers that several encoders share."""
