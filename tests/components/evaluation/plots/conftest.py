"""Figures that plots write."""

import matplotlib.figure
import pytest


@pytest.fixture
def drawn(monkeypatch):
    """The last figure that was written."""
    figures = []
    save = matplotlib.figure.Figure.savefig

    def watch(figure, *arguments, **options):
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", watch)
    return figures
