"""Canonical status codes of the service, and the error that answers one request with such a code.

TensorFlow Serving speaks in canonical (gRPC) status codes, and REST carries the HTTP status that
belongs to each. What ends the service itself is in twofold.components.errors.
"""

from enum import Enum

from twofold.components.errors import TwofoldError


class Code(Enum):
    """Canonical status codes: each has its gRPC number and the HTTP status REST answers with."""

    CANCELLED = (1, 499)
    UNKNOWN = (2, 500)
    INVALID_ARGUMENT = (3, 400)
    DEADLINE_EXCEEDED = (4, 504)
    NOT_FOUND = (5, 404)
    ALREADY_EXISTS = (6, 409)
    PERMISSION_DENIED = (7, 403)
    RESOURCE_EXHAUSTED = (8, 429)
    FAILED_PRECONDITION = (9, 400)
    ABORTED = (10, 409)
    OUT_OF_RANGE = (11, 400)
    UNIMPLEMENTED = (12, 501)
    INTERNAL = (13, 500)
    UNAVAILABLE = (14, 503)
    DATA_LOSS = (15, 500)
    UNAUTHENTICATED = (16, 401)

    def __init__(self, number: int, http_status: int) -> None:
        self.number = number
        self.http_status = http_status


CODE_OF_NUMBER = {code.number: code for code in Code}


class ServingError(TwofoldError):
    """A request that cannot be answered: `code` says whose fault it is, `message` what it is."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        """As absl::Status prints itself, the form in which TensorFlow Serving nests errors."""
        return f"{self.code.name}: {self.message}"


def invalid_argument(message: str) -> ServingError:
    """The error for a request that is wrong whatever the state of the server."""
    return ServingError(Code.INVALID_ARGUMENT, message)
