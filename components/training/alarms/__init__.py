"""Alarms of training: rules on its metrics, and what becomes of a training that they find ill."""
