"""Redundancy-reduction methods: embeddings that agree and spread out."""
