"""Views branch on a processor and never on a GPU, and are the same images either way."""

import numpy as np
import pytest
import tensorflow as tf

from tests.components.transforms.test_policies import batch_of, published_views, views_of
from twofold.components.transforms import conditions
from twofold.components.transforms.policies import build_policy
from twofold.components.transforms.settings import VIEWS
from twofold.components.transforms.views import make_views

_BRANCHES = {"If", "StatelessIf", "Case", "StatelessCase", "While", "StatelessWhile"}
_HOST = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def refuse(*arguments: object, **options: object) -> None:
    pytest.fail("a condition or a loop, for which a GPU waits for the host")


def operations(name: str) -> set[str]:
    """The kinds of operations of a policy's graph, those within its functions as well."""
    policy = build_policy(name)

    @tf.function(autograph=False)
    def draw(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return make_views([policy], images, keys)

    graph = draw.get_concrete_function(batch_of(6), tf.zeros([6], tf.uint32)).graph.as_graph_def()
    functions = (node for part in graph.library.function for node in part.node_def)
    return {node.op for node in (*graph.node, *functions)}


@pytest.mark.parametrize("name", VIEWS)
def test_on_a_gpu_no_view_branches_and_all_are_the_same_images(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_branches, keys = published_views(name)
    monkeypatch.setattr(conditions, "branches", lambda: False)
    for loop in ("cond", "case", "switch_case", "while_loop", "map_fn", "numpy_function"):
        monkeypatch.setattr(tf, loop, refuse)
    np.testing.assert_array_equal(views_of(build_policy(name), batch_of(6), keys), with_branches)


def test_a_graph_for_a_processor_branches_and_one_for_a_gpu_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert operations("randaugment_torchvision") & _BRANCHES
    monkeypatch.setattr(conditions, "branches", lambda: False)
    assert not operations("randaugment_torchvision") & (_BRANCHES | _HOST)


@pytest.mark.parametrize("drawn", [[False, False], [False, True]])
def test_a_pass_is_computed_unless_no_image_drew_it(drawn: list[bool]) -> None:
    made = conditions.where_any(
        tf.constant(drawn), lambda: tf.constant("computed"), lambda: tf.constant("left")
    )
    assert made.numpy() == (b"computed" if any(drawn) else b"left")
