"""Residual networks of He et al. (2016)."""
