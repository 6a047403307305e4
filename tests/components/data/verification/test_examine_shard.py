import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.data.handmade import encode, picture
from twofold.components.data.store import record_schema
from twofold.components.data.store.tf_example import frame
from twofold.components.data.verification.examine_shard import (
    Expected,
    examine,
    read_records,
)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (b"\xff\xff", "it is no tf.train.Example"),
        (
            record_schema.serialize("k", b"no image", 0, ()),
            "its image does not decode: wrong format",
        ),
        (
            record_schema.serialize("k", encode(picture(0))[:-20], 0, ()),
            "its image does not decode",
        ),
        (record_schema.serialize("k", b"", 0, (1.0,)), "expected 0 values of latents (float_list)"),
        (
            record_schema.serialize("k", b"", 0, (), weight=1.0),
            "expected the fields image, label, key",
        ),
        (record_schema.serialize("Z", b"", 0, ()).replace(b"Z", b"\xff"), "its key is no UTF-8"),
    ],
)
def test_a_record_that_is_none_is_described(record, problem):
    framed = next(read_records(io.BytesIO(frame(record)), len(frame(record)), []))

    seen = examine(framed, Expected(latents=0, raw=False, weighted=False, decode=True))

    assert problem in seen.problem


@pytest.mark.parametrize("shape", [(6, 5, 2), (5, 5, 3), (0, 5, 3), (-6, -5, 3), (2**40, 2**40, 1)])
def test_a_shape_that_does_not_fit_the_pixels_is_described(shape):
    record = frame(record_schema.serialize("k", bytes(90), 0, (), shape=shape))
    framed = next(read_records(io.BytesIO(record), len(record), []))

    seen = examine(framed, Expected(latents=0, raw=True, weighted=False, decode=True))

    assert "does not fit its 90 bytes" in seen.problem


def test_the_facts_of_a_record_are_those_of_its_pixels():
    pixels = np.array([[[0, 10, 255]], [[1, 20, 5]]], np.uint8)
    record = frame(record_schema.serialize("k", encode(pixels), 3, (0.5,), weight=2.0))
    framed = next(read_records(io.BytesIO(record), len(record), []))

    facts = examine(framed, Expected(latents=1, raw=False, weighted=True, decode=True)).facts

    assert (facts["height"], facts["width"], facts["channels"]) == (2, 1, 3)
    assert facts["sums"] == [0 + 1, 10 + 20, 255 + 5]
    assert facts["squares"] == [1, 100 + 400, 255**2 + 25]
    assert (facts["label"], facts["latents"], facts["weight"]) == (3, [0.5], 2.0)
    assert facts["length"] == len(record)


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(0, 3), st.binary(max_size=11))
def test_records_are_read_whatever_their_number_and_length(datas, extra, tail):
    content = b"".join(map(frame, datas)) + tail
    found = list(read_records(io.BytesIO(content), len(content), []))

    assert [each.data for each in found if not each.problem] == datas
    assert [each.problem for each in found[len(datas) :]] == (
        ["the file ends within its head"] if tail else []
    )
    assert sum(each.length for each in found) == len(content) - len(tail)
