"""Training methods: what the settings of each have, their traits, and the registry of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from twofold.components.encoders.settings import AnyEncoder, EncoderSettings
from twofold.components.settings import ChosenFrom, Implemented, Registry, Section, Widths
from twofold.components.training.settings import TrainingSettings
from twofold.components.transforms.settings import ViewsSettings


class TeacherSettings(Section):
    """The supervised teacher that a method learns from."""

    encoder: AnyEncoder | None = Field(
        None, description="the teacher's network; null: as the student's"
    )
    training: TrainingSettings = Field(
        TrainingSettings(), description="the teacher's own batches, optimizer and schedule"
    )


class MethodSettings(Implemented):
    """Settings of a method, and its traits: what the pipeline has to know about it.

    ``implementation`` is a dataclass, a ``twofold.components.training.method.Method``, of whose
    fields ``twofold.components.methods.build.build_method`` makes each by its name.

    Attributes:
        trains: whether there is anything to train; False for weights that are there already.
        view_policies: how many policies its views are drawn by, 1 or 2.
        needs_labels: whether it cannot train without labelled images of two classes.
        labelled_only: whether images without a label are left out of its batches.
        classifies: whether it has a classifier of its own, the network "head".
        loss_of_batch: whether the loss of an image depends on the others of its batch, so that
            accumulating gradients is not the same as a larger batch.
        figures: names of what ``Method.pictures`` shows.

    """

    trains: ClassVar[bool] = True
    view_policies: ClassVar[int] = 2
    needs_labels: ClassVar[bool] = False
    labelled_only: ClassVar[bool] = False
    classifies: ClassVar[bool] = False
    loss_of_batch: ClassVar[bool] = False
    figures: ClassVar[tuple[str, ...]] = ()
    name: str

    @property
    def teacher_stage(self) -> TeacherSettings | None:
        """The teacher that has to be trained first; None: there is none."""
        return None

    @property
    def weights_file(self) -> str | None:
        """The PyTorch file that the encoder's weights are read from; None: they are first ones."""
        return None

    def choose_policies(
        self, first: ViewsSettings, second: ViewsSettings | None
    ) -> tuple[ViewsSettings, ...]:
        """Returns the policies that its views are drawn by, ``view_policies`` of them."""
        return (first, second or first)[: self.view_policies]

    def check(
        self, training: TrainingSettings, encoder: EncoderSettings, views: Sequence[ViewsSettings]
    ) -> None:
        """Refuses what the method cannot train with.

        Args:
            training: batches and their parts.
            encoder: what it trains.
            views: its policies, ``view_policies`` of them.

        Raises:
            ValueError: naming the keys at fault, what was expected, and what was received.

        """

    def check_image(self, encoder: EncoderSettings, height: int, width: int) -> None:
        """Refuses whole images that one of its networks cannot take, without building it.

        Args:
            encoder: what it trains.
            height: of the images, in pixels.
            width: likewise.

        Raises:
            SettingsError: naming the keys, what was expected, and what was received.

        """
        encoder.check_image(height, width)
        teacher = self.teacher_stage
        if teacher is not None and teacher.encoder is not None:
            teacher.encoder.check_image(height, width)


class ProjectorSettings(MethodSettings):
    """What methods with a projector have in common.

    Attributes:
        normalised_projections: whether the projections are batch-normalised, too.

    """

    normalised_projections: ClassVar[bool] = False
    projector: Widths = Field((128, 128), description="widths of the layers; empty: identity")
    projector_batch_norm: bool = Field(
        False, description="normalise over the batch after each layer but the last"
    )


def check_queue_size(queue_size: int, training: TrainingSettings) -> None:
    """Refuses a queue that is smaller than a batch.

    Raises:
        ValueError: naming both keys.

    """
    if queue_size < training.batch_size:
        raise ValueError(
            f"method.queue_size={queue_size} cannot hold a batch: expected at least "
            f"training.batch_size={training.batch_size}"
        )


METHODS: Registry[MethodSettings] = Registry("method")
AnyMethod = Annotated[MethodSettings, ChosenFrom(METHODS)]
