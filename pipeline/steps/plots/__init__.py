"""Plots that steps draw of what they have made; no result depends on them."""
