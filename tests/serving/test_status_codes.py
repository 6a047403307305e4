import pytest

from twofold.serving.status_codes import CODE_OF_NUMBER, Code, ServingError


@pytest.mark.parametrize(
    ("code", "http_status"),
    [
        (Code.NOT_FOUND, 404),
        (Code.INVALID_ARGUMENT, 400),
        (Code.FAILED_PRECONDITION, 400),
        (Code.OUT_OF_RANGE, 400),
        (Code.RESOURCE_EXHAUSTED, 429),
        (Code.UNAVAILABLE, 503),
        (Code.DEADLINE_EXCEEDED, 504),
        (Code.UNIMPLEMENTED, 501),
        (Code.CANCELLED, 499),
        (Code.INTERNAL, 500),
    ],
)
def test_codes_have_the_http_status_of_tensorflow_serving(code, http_status):
    assert code.http_status == http_status


def test_every_canonical_number_has_a_code():
    assert sorted(CODE_OF_NUMBER) == list(range(1, 17))


def test_errors_print_as_a_status_does():
    assert str(ServingError(Code.NOT_FOUND, "no x")) == "NOT_FOUND: no x"
