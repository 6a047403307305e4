"""Command line whose exports ask their model in this process; see ``conftest.prove_here``."""

import pytest

from tests.pipeline.conftest import prove_here
from twofold.pipeline.cli.app import main

if __name__ == "__main__":
    prove_here(pytest.MonkeyPatch())
    main()
