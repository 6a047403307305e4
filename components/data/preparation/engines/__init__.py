"""Engines that run a preparation: what runs the stages, by which options, with which workers."""
