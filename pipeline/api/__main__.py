"""Command line as a module: ``python -m twofold``."""

from twofold.pipeline.cli.app import main

main()
