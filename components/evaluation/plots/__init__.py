"""Plots of measures, as PNG files."""
