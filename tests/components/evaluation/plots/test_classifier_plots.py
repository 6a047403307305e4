import numpy as np
import pytest

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots import classifier_plots
from twofold.components.evaluation.plots.classifier_plots import plot_confusion, plot_reliability
from twofold.components.evaluation.plots.run_plots import write_png
from twofold.components.evaluation.probes.calibration import reliability


@pytest.fixture
def figures(monkeypatch):
    """The figures that were written, as matplotlib holds them."""
    written = []

    def keep(figure, path, **options):
        written.append(figure)
        write_png(figure, path, **options)

    monkeypatch.setattr(classifier_plots, "write_png", keep)
    return written


def test_a_reliability_diagram_shows_the_accuracy_of_each_bin_that_has_images(tmp_path, figures):
    # Two images: 0.55 and wrong, 0.95 and right.
    probabilities = np.array([[0.55, 0.45], [0.05, 0.95]])
    path = tmp_path / "figures" / "reliability.png"

    plot_reliability(reliability(probabilities, np.array([1, 1]), bins=10), path, "Confidence")

    upper, lower = figures[0].axes
    bars = [(bar.get_x(), bar.get_height()) for bar in upper.patches]
    np.testing.assert_allclose(bars, [(0.5, 0.0), (0.9, 1.0)])
    assert [bar.get_height() for bar in lower.patches] == [0] * 5 + [0.5] + [0] * 3 + [0.5]
    # (0.55 + 0.05) / 2
    assert upper.get_title(loc="right") == "calibration error 30.00%"
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("classes", [2, 15, 100])
def test_classes_are_named_and_numbered_where_there_is_room(tmp_path, figures, classes):
    path = tmp_path / "confusion.png"
    names = [f"$a$ class of a long name {number}" for number in range(classes)]

    plot_confusion(np.eye(classes, dtype=np.int64), names, path, "Classes")

    panel = figures[0].axes[0]
    np.testing.assert_array_equal(panel.images[0].get_array(), np.eye(classes))
    named = [text.get_text() for text in panel.get_yticklabels()]
    assert (named[0] == r"\$a\$ class of a long nam…") == (classes <= 40)
    assert len(panel.texts) == (4 if classes == 2 else 0)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_matrix_of_other_classes_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match=r"\[2, 2\], but its shape is \[3, 3\]"):
        plot_confusion(np.eye(3, dtype=np.int64), ["a", "b"], tmp_path / "a.png", "")
