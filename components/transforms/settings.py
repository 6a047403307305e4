"""View policies and noise: what the settings of each have, and the registries of them."""

from __future__ import annotations

from typing import Annotated, ClassVar

from twofold.components.settings import ChosenFrom, Implemented, Registry


class ViewsSettings(Implemented):
    """Settings of a view policy.

    ``implementation`` is a function of the other settings, as keywords, that returns a
    ``twofold.components.transforms.views.ViewFunction``.

    Attributes:
        drawn_once: whether something is drawn once for a whole run: ``implementation`` then takes
            the run's ``seed``, too.

    """

    drawn_once: ClassVar[bool] = False
    policy: str

    @property
    def patch_side(self) -> int | None:
        """Side in pixels of square patches that the views are; None: the size of the image."""
        return None


VIEWS: Registry[ViewsSettings] = Registry(
    "policy", key="policy", base=ViewsSettings, group="twofold.views", path="views.policy"
)
AnyViews = Annotated[ViewsSettings, ChosenFrom(VIEWS)]


class RandAugmentSettings(Implemented):
    """Settings of a RandAugment, which a method adds to a view as noise.

    ``implementation`` is a function of the other settings, as keywords, that returns a
    ``twofold.components.transforms.views.ViewFunction``.
    """

    name: str


RANDAUGMENTS: Registry[RandAugmentSettings] = Registry("noise")
AnyRandAugment = Annotated[RandAugmentSettings, ChosenFrom(RANDAUGMENTS)]
