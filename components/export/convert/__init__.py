"""Conversion of exported models for other runtimes."""
