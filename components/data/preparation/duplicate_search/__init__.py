"""Duplicate search by several workers: stages of a preparation of more images than one looks at."""
