"""Measurements of speed and memory: tables to read, never tests that time something."""
