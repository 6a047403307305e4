"""Robustness to common corruptions."""
