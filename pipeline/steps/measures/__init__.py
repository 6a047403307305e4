"""Measures taken by the evaluate step."""
