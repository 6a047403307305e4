"""Geometry of embeddings: similarity, uniformity, rank, clusters, retrieval."""
