"""Hashes drawn by Hypothesis, of which equal and near ones are frequent."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays


@st.composite
def drawn_hashes(draw, most):
    """The hashes and the detail hashes of at most so many images, uint64 [N] both."""
    count = draw(st.integers(0, most))
    # Few bits, in different bands and within one.
    places = draw(st.lists(st.integers(0, 63), min_size=1, max_size=9, unique=True))
    chosen = draw(arrays(np.uint64, (count, len(places)), elements=st.integers(0, 1)))
    hashes = (chosen << np.array(places, np.uint64)).sum(axis=1, dtype=np.uint64)
    details = draw(arrays(np.uint64, count, elements=st.sampled_from([0, 2**16 - 1, 2**20 - 1])))
    return hashes, details
