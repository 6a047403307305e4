import numpy as np
import pytest

from twofold.serving.signature import Signature, TensorInfo
from twofold.serving.status_codes import Code, ServingError

SIGNATURE = Signature(
    "sig",
    inputs={
        "images": TensorInfo("images", "uint8", (None, 4, 4, 3)),
        "names": TensorInfo("names", "string", None),
    },
    outputs={},
)
IMAGES = np.zeros((2, 4, 4, 3), np.uint8)
NAMES = np.array([b"a", b"b"], np.object_)


@pytest.mark.parametrize("names", [NAMES, NAMES.reshape(2, 1), NAMES[0:0]])
def test_fitting_arrays_pass(names):
    SIGNATURE.check({"images": IMAGES, "names": names})


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"images": IMAGES}, "Sent extra: {}. Missing but required: {names}."),
        (
            {"images": IMAGES, "names": NAMES, "x": NAMES},
            "Sent extra: {x}. Missing but required: {}.",
        ),
        ({"images": IMAGES[0], "names": NAMES}, "has shape [4,4,3], expected [?,4,4,3]"),
        ({"images": IMAGES[:, :3], "names": NAMES}, "has shape [2,3,4,3], expected [?,4,4,3]"),
        (
            {"images": IMAGES.astype(np.float32), "names": NAMES},
            'Input "images" of signature "sig" has type float32, expected uint8',
        ),
        ({"images": NAMES, "names": NAMES}, "has type string, expected uint8"),
        ({"images": IMAGES, "names": IMAGES}, "has type uint8, expected string"),
    ],
)
def test_misfits_are_invalid_arguments(arrays, expected):
    with pytest.raises(ServingError) as caught:
        SIGNATURE.check(arrays)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert expected in caught.value.message
