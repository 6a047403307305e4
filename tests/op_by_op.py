"""Functions of TensorFlow that run op by op: called a few times, one takes longer to trace."""

import contextlib
import pkgutil
import sys
from collections.abc import Iterator


def run_op_by_op(chosen: bool) -> None:
    """Says whether functions run op by op; where nothing has imported TensorFlow, nothing."""
    if "tensorflow" in sys.modules:
        pkgutil.resolve_name("tensorflow:config").run_functions_eagerly(chosen)


@contextlib.contextmanager
def op_by_op() -> Iterator[None]:
    """Traces and compiles nothing within."""
    run_op_by_op(True)
    try:
        yield
    finally:
        run_op_by_op(False)
