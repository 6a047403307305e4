"""Checks before a long step begins."""
