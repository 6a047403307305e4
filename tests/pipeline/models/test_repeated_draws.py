"""Which configurations expect an image several times in a batch."""

import pytest

from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.models.build import step_settings
from twofold.pipeline.models.method_builder import build_method


@pytest.mark.parametrize(
    ("sampling", "repeats"), [("uniform", False), ("balanced", True), ("weighted", True)]
)
def test_draws_with_replacement_may_repeat_an_image(sampling: str, repeats: bool) -> None:
    chosen = ("method.name=nnclr", "method.queue_size=1000", "method.projector=[4]")
    config = override(RunConfig(), (*chosen, f"data.sampling={sampling}"))
    assert step_settings(config, replicas=1).repeats == repeats
    method = build_method(config, (64, 64, 1), classes=2, steps=1)
    assert (method.memory["queue"].image_ids is not None) == repeats
