"""Configuration, recipes, steps and the command line."""
