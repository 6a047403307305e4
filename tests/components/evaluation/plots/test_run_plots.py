from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots.run_plots import (
    draw_curves,
    draw_dictionary,
    draw_rsm,
    draw_views,
)

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def similarities(images=60, seed=0):
    matrix = np.random.default_rng(seed).uniform(-1, 1, (images, images))
    return ((matrix + matrix.T) / 2).astype(np.float32)


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def assert_a_small_picture(path, most_kilobytes=150):
    content = path.read_bytes()
    assert content.startswith(PNG_SIGNATURE)
    assert len(content) < most_kilobytes * 1024
    drawn = pixels(path)
    assert min(drawn.shape[:2]) > 100
    assert max(drawn.shape[:2]) < 1600
    assert (drawn[0, 0] == 255).all()
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 10


class TestSimilarities:
    def test_several_encoders_side_by_side_with_named_classes(self, tmp_path):
        path = tmp_path / "rsm.png"
        shape = np.repeat([0, 1, 2], 20)
        matrices = {"SimCLR": similarities(), "random": similarities(seed=1)}
        draw_rsm(matrices, shape, "shape", "Similarities", path, ["square", "ellipse", "heart"])
        assert_a_small_picture(path)

    def test_one_matrix_without_a_name_is_narrower(self, tmp_path):
        one, two = tmp_path / "one.png", tmp_path / "two.png"
        shape = np.repeat([0, 1], 30)
        draw_rsm(similarities(), shape, "shape", "Similarities", one)
        draw_rsm({"a": similarities(), "b": similarities()}, shape, "shape", "Similarities", two)
        assert_a_small_picture(one)
        assert pixels(one).shape[1] < pixels(two).shape[1]

    def test_a_latent_of_many_values_or_of_one(self, tmp_path):
        for name, values in (("many", np.linspace(0, 6.28, 60)), ("one", np.zeros(60))):
            path = tmp_path / f"{name}.png"
            draw_rsm(similarities(), values, "orientation", "Similarities", path)
            assert_a_small_picture(path)

    def test_long_class_names_turn_upright(self, tmp_path):
        path = tmp_path / "rsm.png"
        names = [f"a class of long name {number}" for number in range(3)]
        draw_rsm(similarities(), np.repeat([0, 1, 2], 20), "class", "Similarities", path, names)
        assert_a_small_picture(path)

    @pytest.mark.parametrize("encoders", [1, 2, 5])
    @pytest.mark.parametrize("letters", [4, 10, 27])
    def test_nothing_is_cut_off_at_the_edges(self, tmp_path, encoders, letters):
        path = tmp_path / "rsm.png"
        names = [number * letters for number in "abcdefghij"]
        matrices = {f"encoder {number}": similarities() for number in range(encoders)}
        draw_rsm(matrices, np.repeat(range(10), 6), "class", "Similarities", path, names)
        picture = pixels(path)
        for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
            assert (edge == 255).all()

    def test_names_are_no_formulas_and_may_be_in_any_script(self, tmp_path):
        path = tmp_path / "rsm.png"
        groups = np.repeat([0, 1, 2], 20)
        names = ["$^$", "日本", "5 $ or $ 6"]
        draw_rsm(similarities(), groups, "$_$ a", "$_$ b", path, names)
        assert_a_small_picture(path)

    def test_likeness_is_red_and_unlikeness_blue(self, tmp_path):
        def mean_colour(value):
            path = tmp_path / "rsm.png"
            draw_rsm(np.full((60, 60), value), np.zeros(60), "shape", "", path)
            height, width = pixels(path).shape[:2]
            return pixels(path)[height // 2 - 20 : height // 2 + 20, width // 2 - 60].mean(axis=0)

        (red, _, blue), (far_red, _, far_blue) = mean_colour(0.8), mean_colour(-0.8)
        assert red > blue + 50
        assert far_blue > far_red + 50

    def test_a_matrix_of_another_size_is_refused(self, tmp_path):
        with pytest.raises(EvaluationError, match=r"\[61, 61\], not .*\[60, 60\]"):
            draw_rsm({"a": similarities()}, np.zeros(61), "shape", "", tmp_path / "rsm.png")
        with pytest.raises(EvaluationError, match="needs matrices"):
            draw_rsm({}, np.zeros(61), "shape", "", tmp_path / "rsm.png")

    @pytest.mark.parametrize("value", [-1, 2, 0.5])
    def test_a_value_without_a_name_is_refused(self, tmp_path, value):
        values = np.append(np.zeros(59), value)
        with pytest.raises(EvaluationError, match=r"shape must be in \[0, 2\) .* 2 names"):
            draw_rsm(similarities(), values, "shape", "", tmp_path / "rsm.png", ["a", "b"])


class TestDictionary:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_the_first_atoms_are_drawn(self, tmp_path, channels):
        atoms = np.random.default_rng(0).normal(size=(60, 6, 6, channels))
        draw_dictionary(atoms, tmp_path / "all.png", most=55)
        assert_a_small_picture(tmp_path / "all.png")
        draw_dictionary(atoms[:55], tmp_path / "first.png")
        np.testing.assert_array_equal(pixels(tmp_path / "all.png"), pixels(tmp_path / "first.png"))

    def test_an_atom_is_as_strong_as_it_can_be_shown_and_nothing_is_grey(self, tmp_path):
        atoms = np.zeros((2, 4, 4, 1))
        atoms[0, 0, 0], atoms[0, 3, 3] = 0.2, -0.2
        for name, factor in (("one", 1), ("more", 3)):
            draw_dictionary(atoms * factor, tmp_path / f"{name}.png")
        drawn = pixels(tmp_path / "one.png")
        np.testing.assert_array_equal(drawn, pixels(tmp_path / "more.png"))
        assert {0, 128, 255} <= set(np.unique(drawn[..., 0]).tolist())

    @pytest.mark.parametrize("shape", [(0, 4, 4, 1), (2, 4, 4, 2), (2, 16)])
    def test_other_shapes_are_refused(self, tmp_path, shape):
        with pytest.raises(EvaluationError, match=r"atoms \[K, side, side, C\]"):
            draw_dictionary(np.zeros(shape), tmp_path / "atoms.png")


class TestViews:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_originals_above_views_of_another_size(self, tmp_path, channels):
        random = np.random.default_rng(0)
        originals = random.integers(0, 256, (6, 32, 32, channels), np.uint8)
        views = random.random((2, 6, 24, 24, channels), np.float32)
        draw_views(originals, views, tmp_path / "views.png", "Views")
        assert_a_small_picture(tmp_path / "views.png")

    def test_whole_numbers_and_floats_of_an_image_look_alike(self, tmp_path):
        whole = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1), np.uint8)
        floats = whole.astype(np.float32) / 255
        draw_views(whole, floats[None], tmp_path / "a.png")
        draw_views(floats, whole[None], tmp_path / "b.png")
        np.testing.assert_array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))

    def test_rows_can_have_another_name(self, tmp_path):
        images = np.zeros((2, 8, 8, 1), np.uint8)
        for name in ("view", "reconstruction"):
            draw_views(images, images[None], tmp_path / f"{name}.png", name=name)
        assert not np.array_equal(
            pixels(tmp_path / "view.png"), pixels(tmp_path / "reconstruction.png")
        )

    def test_values_beyond_the_range_are_clipped(self, tmp_path):
        originals = np.zeros((1, 8, 8, 1), np.uint8)
        for name, white in (("one", 1.0), ("more", 1.7)):
            views = np.full((1, 1, 8, 8, 1), white, np.float32)
            draw_views(originals, views, tmp_path / f"{name}.png")
        np.testing.assert_array_equal(pixels(tmp_path / "one.png"), pixels(tmp_path / "more.png"))

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
            draw_views(np.zeros(originals), np.zeros(views), tmp_path / "views.png")


class TestCurves:
    def test_panels_of_different_lengths_with_gaps_and_a_single_point(self, tmp_path):
        steps = np.arange(50)
        series = {
            "loss": (steps, np.exp(-steps / 10)),
            "online probe accuracy": (steps[:3], [np.nan, 0.4, 0.5]),
            "learning rate": ([1], [1e-3]),
            "constant": ([0, 1], [2.0, 2.0]),
        }
        draw_curves(series, tmp_path / "curves.png", "Training")
        assert_a_small_picture(tmp_path / "curves.png")

    def test_steps_and_values_of_different_lengths_are_refused(self, tmp_path):
        with pytest.raises(EvaluationError, match=r"'loss': \(2, 1\)"):
            draw_curves({"loss": ([0, 1], [0.5])}, tmp_path / "curves.png")
        with pytest.raises(EvaluationError, match="at least one"):
            draw_curves({}, tmp_path / "curves.png")


class TestWriting:
    def curve(self, path, value=1.0):
        draw_curves({"loss": ([0, 1], [0.0, value])}, path)

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

    @pytest.mark.parametrize("failing", ["write_bytes", "replace"])
    def test_a_failed_write_leaves_the_old_picture_and_nothing_half_written(
        self, tmp_path, monkeypatch, failing
    ):
        path = tmp_path / "curves.png"
        self.curve(path)
        before = path.read_bytes()

        def full_disk(self, *_):
            if failing == "write_bytes":
                with self.open("wb") as file:
                    file.write(PNG_SIGNATURE)
            raise OSError("No space left on device")

        monkeypatch.setattr(Path, failing, full_disk)
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
