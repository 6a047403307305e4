"""Reuse of finished steps: what they depend on, how they stand, and what they left."""
