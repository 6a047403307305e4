"""Measures of an encoder, all read from embeddings computed once."""
