"""Probes of frozen embeddings, and what else is measured with labels."""
