"""Plots of a run: what is drawn where, by the figure itself and by the pixels of the file."""

import matplotlib
import numpy as np
import pytest

from tests.components.evaluation.plots.written_figures import pixels
from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots import run_plots
from twofold.components.evaluation.plots.run_plots import (
    new_figure,
    plot_dictionary,
    plot_rsm,
    plot_views,
    write_png,
)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def figures(monkeypatch):
    """The figures that were written, as matplotlib holds them."""
    written = []

    def keep(figure, path, **options):
        written.append(figure)
        write_png(figure, path, **options)

    monkeypatch.setattr(run_plots, "write_png", keep)
    return written


def images_of(figure):
    """What each panel with an image shows, left to right and down."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def ticks_of(axis):
    return list(
        zip(axis.get_ticklocs(), [one.get_text() for one in axis.get_ticklabels()], strict=True)
    )


def lines_at(axes):
    """Where vertical and horizontal lines cross a whole panel."""
    vertical = [line.get_xdata()[0] for line in axes.lines if len({*line.get_xdata()}) == 1]
    horizontal = [line.get_ydata()[0] for line in axes.lines if len({*line.get_ydata()}) == 1]
    return vertical, horizontal


def similarities(images=60, seed=0):
    matrix = np.random.default_rng(seed).uniform(-1, 1, (images, images))
    return ((matrix + matrix.T) / 2).astype(np.float32)


def share_of(drawn, colour, slack=40):
    """Of all pixels those of about a colour."""
    return (np.abs(drawn - np.array(colour)).max(axis=-1) < slack).mean()


class TestSimilarities:
    def test_each_encoder_s_matrix_is_in_its_own_panel_from_minus_one_to_one(
        self, tmp_path, figures
    ):
        matrices = {"SimCLR": similarities(6), "random": similarities(6, seed=1)}
        shape = np.array([0, 0, 1, 1, 1, 2])
        names = ["square", "ellipse", "heart"]
        plot_rsm(matrices, shape, "shape", "Similarities", tmp_path / "rsm.png", names)

        (figure,) = figures
        first, second, bar = figure.axes
        np.testing.assert_array_equal(first.images[0].get_array(), matrices["SimCLR"])
        np.testing.assert_array_equal(second.images[0].get_array(), matrices["random"])
        for panel in (first, second):
            assert panel.images[0].get_clim() == (-1, 1)
            assert panel.get_xlabel() == "shape"
        assert (first.get_title(), second.get_title()) == ("SimCLR", "random")
        assert figure.get_suptitle() == "Similarities"
        assert bar.get_ylabel() == "cosine similarity"

    def test_classes_have_a_name_in_their_middle_and_a_line_between_them(self, tmp_path, figures):
        shape = np.array([0, 0, 1, 1, 1, 2])
        names = ["square", "ellipse", "heart"]
        plot_rsm(similarities(6), shape, "shape", "", tmp_path / "rsm.png", names)

        # Rows 0-1 are squares, 2-4 ellipses, 5 a heart; a row reaches half a row to both sides.
        panel = figures[0].axes[0]
        expected = [(0.5, "square"), (3.0, "ellipse"), (5.0, "heart")]
        assert ticks_of(panel.xaxis) == ticks_of(panel.yaxis) == expected
        assert lines_at(panel) == ([1.5, 4.5], [1.5, 4.5])

    def test_only_the_first_panel_of_a_row_names_the_rows(self, tmp_path, figures):
        matrices = {str(number): similarities(4) for number in range(4)}
        plot_rsm(matrices, np.array([0, 0, 1, 1]), "shape", "", tmp_path / "rsm.png")

        labelled = [axes.get_ylabel() for axes in figures[0].axes if axes.images]
        assert labelled == ["shape", "", "shape", ""]

    def test_of_many_values_six_evenly_spaced_rows_are_named(self, tmp_path, figures):
        values = np.linspace(0, 5, 51)
        plot_rsm(similarities(51), values, "orientation", "", tmp_path / "rsm.png")

        panel = figures[0].axes[0]
        expected = [(10.0 * number, str(number)) for number in range(6)]
        assert ticks_of(panel.xaxis) == expected
        assert lines_at(panel) == ([], [])

    def test_one_value_is_one_group(self, tmp_path, figures):
        plot_rsm(similarities(5), np.zeros(5), "scale", "", tmp_path / "rsm.png")

        assert ticks_of(figures[0].axes[0].xaxis) == [(2.0, "0")]

    def test_long_class_names_turn_upright(self, tmp_path, figures):
        for names in (["cat", "dog"], [f"a class of long name {number}" for number in range(2)]):
            plot_rsm(
                similarities(4), np.array([0, 0, 1, 1]), "class", "", tmp_path / "a.png", names
            )

        turned = [figure.axes[0].get_xticklabels()[0].get_rotation() for figure in figures]
        assert turned == [0, 90]

    @pytest.mark.parametrize(("encoders", "letters"), [(1, 27), (2, 10), (5, 4), (5, 27)])
    def test_nothing_is_cut_off_at_the_edges(self, tmp_path, encoders, letters):
        path = tmp_path / "rsm.png"
        names = [number * letters for number in "abcdefghij"]
        matrices = {f"encoder {number}": similarities() for number in range(encoders)}
        plot_rsm(matrices, np.repeat(range(10), 6), "class", "Similarities", path, names)
        picture = pixels(path)
        for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
            assert (edge == 255).all()

    def test_names_are_no_formulas_and_may_be_in_any_script(self, tmp_path, figures):
        names = ["$^$", "\N{CJK UNIFIED IDEOGRAPH-65E5}", "5 $ or $ 6"]
        plot_rsm(similarities(3), np.arange(3), "$_$ a", "$_$ b", tmp_path / "rsm.png", names)

        # Behind a backslash, a dollar sign is a dollar sign.
        panel = figures[0].axes[0]
        assert panel.get_xlabel() == r"\$_\$ a"
        assert ticks_of(panel.xaxis)[2] == (2.0, r"5 \$ or \$ 6")

    def test_likeness_is_red_unlikeness_blue_and_neither_white(self, tmp_path):
        def mean_colour(value):
            path = tmp_path / "rsm.png"
            plot_rsm(np.full((60, 60), value), np.zeros(60), "shape", "", path)
            height, width = pixels(path).shape[:2]
            return pixels(path)[height // 2 - 20 : height // 2 + 20, width // 2 - 60].mean(axis=0)

        (red, _, blue), (far_red, _, far_blue) = mean_colour(0.8), mean_colour(-0.8)
        assert red > blue + 50
        assert far_blue > far_red + 50
        assert mean_colour(0.0).min() > 230

    def test_a_matrix_of_another_size_is_refused(self, tmp_path):
        with pytest.raises(EvaluationError, match=r"\[61, 61\], not .*\[60, 60\]"):
            plot_rsm({"a": similarities()}, np.zeros(61), "shape", "", tmp_path / "rsm.png")
        with pytest.raises(EvaluationError, match="needs matrices"):
            plot_rsm({}, np.zeros(61), "shape", "", tmp_path / "rsm.png")

    @pytest.mark.parametrize("value", [-1, 2, 0.5])
    def test_a_value_without_a_name_is_refused(self, tmp_path, value):
        values = np.append(np.zeros(59), value)
        with pytest.raises(EvaluationError, match=r"shape must be in \[0, 2\) .* 2 names"):
            plot_rsm(similarities(), values, "shape", "", tmp_path / "rsm.png", ["a", "b"])


class TestDictionary:
    def test_an_atom_is_as_strong_as_it_can_be_shown_and_nothing_is_grey(self, tmp_path, figures):
        atoms = np.zeros((2, 2, 2, 1))
        atoms[0, :, :, 0] = [[0.2, 0.0], [-0.1, -0.2]]
        plot_dictionary(atoms, tmp_path / "atoms.png")

        # 0.5 + atom / (2 * 0.2), of 255: 0.2 is white, -0.2 black, -0.1 a quarter.
        first, second = images_of(figures[0])
        assert first[..., 0].tolist() == [[255, 128], [64, 0]]
        assert (first == first[..., :1]).all()
        assert (second == 128).all()

    def test_the_first_atoms_are_drawn_twenty_in_a_row(self, tmp_path, figures):
        atoms = np.random.default_rng(0).normal(size=(60, 3, 3, 3))
        plot_dictionary(atoms, tmp_path / "atoms.png", most=45)

        shown = images_of(figures[0])
        assert len(shown) == 45
        for atom, image in zip(atoms, shown, strict=False):
            expected = 255 * (0.5 + atom / (2 * np.abs(atom).max()))
            np.testing.assert_allclose(image, expected, atol=0.51)
        shape = figures[0].axes[0].get_subplotspec().get_gridspec().get_geometry()
        assert shape == (3, 20)

    @pytest.mark.parametrize("shape", [(0, 4, 4, 1), (2, 4, 4, 2), (2, 16)])
    def test_other_shapes_are_refused(self, tmp_path, shape):
        with pytest.raises(EvaluationError, match=r"atoms \[K, side, side, C\]"):
            plot_dictionary(np.zeros(shape), tmp_path / "atoms.png")


class TestViews:
    def test_each_image_stands_above_its_views(self, tmp_path, figures):
        random = np.random.default_rng(0)
        originals = random.integers(0, 256, (3, 8, 8, 3), np.uint8)
        views = random.integers(0, 256, (2, 3, 6, 6, 3), np.uint8)
        plot_views(originals, views, tmp_path / "views.png", "Views")

        (figure,) = figures
        shown = images_of(figure)
        for place, image in enumerate([*originals, *views[0], *views[1]]):
            np.testing.assert_array_equal(shown[place], image)
        assert len(shown) == 9
        assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["original", "view 1", "view 2"]
        assert figure.get_suptitle() == "Views"

    def test_the_file_holds_each_image_where_it_belongs(self, tmp_path):
        # Of two columns and two rows: red and green above blue and red.
        originals = np.array([RED, GREEN], np.uint8)[:, None, None] * np.ones(
            (1, 8, 8, 1), np.uint8
        )
        views = np.array([[BLUE, RED]], np.uint8)[:, :, None, None]
        views = views * np.ones((1, 1, 8, 8, 1), np.uint8)
        plot_views(originals, views, tmp_path / "views.png")

        drawn = pixels(tmp_path / "views.png")
        columns = np.flatnonzero((np.abs(drawn - 255).max(axis=-1) > 100).sum(axis=0) > 60)
        middle = (columns[0] + columns[-1]) // 2
        half = len(drawn) // 2
        for part, colour in (
            (drawn[:half, :middle], RED),
            (drawn[:half, middle:], GREEN),
            (drawn[half:, :middle], BLUE),
            (drawn[half:, middle:], RED),
        ):
            others = {RED, GREEN, BLUE} - {colour}
            assert share_of(part, colour) > 0.25
            assert all(share_of(part, other) < 0.01 for other in others)

    def test_whole_numbers_floats_and_one_channel_are_shown_alike(self, tmp_path, figures):
        whole = np.array([[[[0], [51]], [[102], [255]]]], np.uint8)
        floats = whole.astype(np.float32) / 255
        plot_views(floats, whole[None], tmp_path / "a.png")

        original, view = images_of(figures[0])
        np.testing.assert_array_equal(original, view)
        assert original[..., 0].tolist() == [[0, 51], [102, 255]]
        assert original.shape == (2, 2, 3)

    def test_values_beyond_the_range_are_clipped(self, tmp_path, figures):
        originals = np.zeros((1, 1, 2, 1), np.uint8)
        views = np.array([[[[[1.7], [-0.5]]]]], np.float32)
        plot_views(originals, views, tmp_path / "views.png")

        assert images_of(figures[0])[1][..., 0].tolist() == [[255, 0]]

    def test_rows_can_have_names_of_their_own(self, tmp_path, figures):
        images = np.zeros((2, 8, 8, 1), np.uint8)
        plot_views(images, np.stack([images] * 2), tmp_path / "a.png", name=["weak", "strong"])

        rows = [axes.get_ylabel() for axes in figures[0].axes[::2]]
        assert rows == ["original", "weak", "strong"]
        with pytest.raises(EvaluationError, match="2 rows of views need as many names, not 1"):
            plot_views(images, np.stack([images] * 2), tmp_path / "a.png", name=["weak"])

    def test_a_single_row_of_another_name_has_no_number(self, tmp_path, figures):
        images = np.zeros((2, 8, 8, 1), np.uint8)
        plot_views(images, images[None], tmp_path / "a.png", name="reconstruction")

        rows = [axes.get_ylabel() for axes in figures[0].axes[::2]]
        assert rows == ["original", "reconstruction"]

    @pytest.mark.parametrize(
        ("originals", "views"),
        [
            ((2, 8, 8, 1), (2, 3, 8, 8, 1)),
            ((2, 8, 8, 2), (2, 2, 8, 8, 2)),
            ((2, 8, 8), (2, 2, 8, 8)),
            ((0, 8, 8, 1), (2, 0, 8, 8, 1)),
            ((2, 8, 8, 1), (0, 2, 8, 8, 1)),
        ],
    )
    def test_other_shapes_are_refused(self, tmp_path, originals, views):
        with pytest.raises(EvaluationError, match="their shapes are"):
            plot_views(np.zeros(originals), np.zeros(views), tmp_path / "views.png")


class TestWriting:
    def curve(self, path, value=1.0):
        figure = new_figure(3, 2)
        figure.subplots().plot([0, 1], [0.0, value])
        write_png(figure, path)

    def test_makes_folders_and_leaves_the_picture_alone_in_them(self, tmp_path):
        self.curve(tmp_path / "figures" / "deep" / "curves.png")
        assert [entry.name for entry in (tmp_path / "figures" / "deep").iterdir()] == ["curves.png"]

    def test_the_same_figure_is_the_same_bytes_and_a_new_one_replaces_it(self, tmp_path):
        path = tmp_path / "curves.png"
        self.curve(path)
        first = path.read_bytes()
        self.curve(path)
        assert path.read_bytes() == first
        self.curve(path, value=2.0)
        assert path.read_bytes() != first

    def test_a_failed_write_leaves_the_old_picture_and_nothing_half_written(
        self, tmp_path, monkeypatch
    ):
        path = tmp_path / "curves.png"
        self.curve(path)
        before = path.read_bytes()

        def full_disk(*_):
            raise OSError("No space left on device")

        monkeypatch.setattr("os.fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            self.curve(path, value=2.0)
        monkeypatch.undo()
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_a_failed_drawing_makes_no_file(self, tmp_path, monkeypatch):
        def fail(*_, **__):
            raise MemoryError

        monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
        with pytest.raises(MemoryError):
            self.curve(tmp_path / "new" / "curves.png")
        assert list(tmp_path.iterdir()) == []

    def test_the_global_state_of_matplotlib_is_left_alone(self, tmp_path):
        before = dict(matplotlib.rcParams)
        self.curve(tmp_path / "curves.png")
        assert dict(matplotlib.rcParams) == before
