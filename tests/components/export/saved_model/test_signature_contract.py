import dataclasses

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.exported import save_tiny
from twofold.components.errors import ExportedModelError
from twofold.components.export.saved_model.signature_contract import (
    Signature,
    Tensor,
    breaking_changes,
    fits,
    read_contract,
    reshaping_additions,
    shape_text,
)

PREDICT = "tensorflow/serving/predict"
CONTRACT = {
    "embed": Signature(
        PREDICT,
        inputs={"images": Tensor("uint8", (None, 8, 8, 3))},
        outputs={"embedding": Tensor("float32", (None, 16))},
    )
}

shapes = st.none() | st.lists(st.none() | st.integers(0, 3), max_size=3).map(tuple)


def changed(**changes):
    return {"embed": dataclasses.replace(CONTRACT["embed"], **changes)}


def test_a_saved_models_signatures_are_read(tmp_path):
    contract = read_contract(save_tiny(tmp_path / "1"))

    assert contract == {
        "embed": Signature(
            PREDICT,
            {"images": Tensor("uint8", (None, 2, 2, 1))},
            {"embedding": Tensor("float32", (None, 3))},
        ),
        "serving_default": Signature(
            PREDICT,
            {"image_bytes": Tensor("string", (None,))},
            {
                "embedding": Tensor("float32", (None, 3)),
                "logits": Tensor("float32", (None, 2)),
            },
        ),
    }


@pytest.mark.parametrize("content", [b"", b"\xff\xff"])
def test_a_damaged_graph_is_named(tmp_path, content):
    (tmp_path / "saved_model.pb").write_bytes(content)

    with pytest.raises(ExportedModelError, match=r"saved_model\.pb (cannot be read|has no sig)"):
        read_contract(tmp_path)


@pytest.mark.parametrize(
    ("candidate", "change"),
    [
        ({}, "signature embed is gone"),
        (
            changed(method="tensorflow/serving/classify"),
            f"signature embed answers tensorflow/serving/classify, and answered {PREDICT}",
        ),
        (changed(outputs={}), "signature embed: output embedding is gone"),
        (
            changed(outputs={"embedding": Tensor("float64", (None, 16))}),
            "signature embed: output embedding is float64 [?,16], and was float32 [?,16]",
        ),
        (
            changed(outputs={"embedding": Tensor("float32", (None, 32))}),
            "signature embed: output embedding is float32 [?,32], and was float32 [?,16]",
        ),
        (
            changed(outputs={"embedding": Tensor("float32", (None, None))}),
            "signature embed: output embedding is float32 [?,?], and was float32 [?,16]",
        ),
        (
            changed(inputs={"images": Tensor("uint8", (1, 8, 8, 3))}),
            "signature embed: input images is uint8 [1,8,8,3], and was uint8 [?,8,8,3]",
        ),
        (
            changed(inputs={"images": Tensor("uint8", (None, 8, 8, 1))}),
            "signature embed: input images is uint8 [?,8,8,1], and was uint8 [?,8,8,3]",
        ),
        (
            changed(inputs={**CONTRACT["embed"].inputs, "seed": Tensor("int64", None)}),
            "signature embed: input seed is new, and callers do not send it",
        ),
    ],
)
def test_what_breaks_callers_is_told(candidate, change):
    assert breaking_changes(CONTRACT, candidate) == [change]


@pytest.mark.parametrize(
    "candidate",
    [
        CONTRACT,
        CONTRACT | {"classify": CONTRACT["embed"]},
        changed(outputs={**CONTRACT["embed"].outputs, "logits": Tensor("float32", (None, 2))}),
        # It takes more than before, and promises more.
        changed(inputs={"images": Tensor("uint8", (None, None, None, 3))}),
        changed(inputs={"images": Tensor("uint8", None)}),
        changed(outputs={"embedding": Tensor("float32", (4, 16))}),
        changed(inputs={**CONTRACT["embed"].inputs, "seed": Tensor("int64", None, True)}),
    ],
)
def test_additions_and_wider_inputs_break_nobody(candidate):
    assert breaking_changes(CONTRACT, candidate) == []


def test_a_second_output_changes_how_rest_answers():
    second = changed(outputs={**CONTRACT["embed"].outputs, "norm": Tensor("float32", (None,))})

    assert reshaping_additions(CONTRACT, CONTRACT) == []
    assert reshaping_additions(CONTRACT, second) == [
        "signature embed had one output and has 2: REST answers in the row format become objects"
    ]
    assert reshaping_additions(second, second) == []


def test_an_input_that_could_be_left_out_must_stay_so():
    optional = changed(inputs={"images": Tensor("uint8", (None, 8, 8, 3), True)})

    assert breaking_changes(optional, CONTRACT) == [
        "signature embed: input images can no longer be left out"
    ]


@given(shapes, shapes, shapes)
def test_fitting_is_reflexive_and_transitive_and_holds_of_members(one, other, third):
    assert fits(one, one)
    if fits(one, other) and fits(other, third):
        assert fits(one, third)
    if one is not None:
        member = tuple(2 if size is None else size for size in one)
        assert fits(one, member)
        assert fits(member, one) == (None not in one)


def test_shapes_are_written_as_tensorflow_does():
    assert shape_text(None) == "<unknown>"
    assert shape_text(()) == "[]"
    assert shape_text((None, 96, 3)) == "[?,96,3]"
