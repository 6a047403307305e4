"""Training methods: what the settings of each have, their traits, and the registry of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from twofold.components.encoders.settings import AnyEncoder, EncoderSettings
from twofold.components.errors import SettingsError
from twofold.components.methods.automatic import Choice, TrainingSize
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
        calls_encoder: whether its gradients go through the encoder as a whole.
        loss_of_batch: whether the loss of an image depends on the others of its batch, so that
            accumulating gradients is not the same as a larger batch.
        figures: names of what ``Method.pictures`` shows.

    """

    implemented_by: ClassVar[Literal["function", "dataclass"]] = "dataclass"
    trains: ClassVar[bool] = True
    view_policies: ClassVar[int] = 2
    needs_labels: ClassVar[bool] = False
    labelled_only: ClassVar[bool] = False
    classifies: ClassVar[bool] = False
    calls_encoder: ClassVar[bool] = True
    loss_of_batch: ClassVar[bool] = False
    figures: ClassVar[tuple[str, ...]] = ()
    name: str

    @property
    def constant_rates(self) -> tuple[str, ...]:
        """Names of networks whose learning rate no schedule lowers after the warm-up."""
        return ()

    @property
    def teacher_stage(self) -> TeacherSettings | None:
        """The teacher that has to be trained first; None: there is none."""
        return None

    @property
    def weights_file(self) -> str | None:
        """The PyTorch file that the encoder's weights are read from; None: they are first ones."""
        return None

    def automatic(self, size: TrainingSize) -> Iterator[Choice]:
        """Gives what each setting that is left at null becomes, where null means to choose."""
        yield from ()

    def resolved(self, size: TrainingSize) -> Self:
        """Returns the settings with the choices of ``automatic`` in place of null."""
        return self.model_copy(update={one.key: one.value for one in self.automatic(size)})

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

    def check_size(self, images: int, batches: Sequence[int], replicas: int) -> None:
        """Refuses what the images or the replicas do not allow, before anything is built.

        Args:
            images: how many are trained on.
            batches: see ``twofold.components.methods.automatic.TrainingSize``.
            replicas: how many share a batch.

        Raises:
            SettingsError: naming the keys at fault, what was expected, and what was received.

        """


HiddenNorm = Annotated[
    bool, Field(description="normalise over the batch after each layer but the last")
]


class ProjectorSettings(MethodSettings):
    """What methods with a projector have in common."""

    projector: Widths | None = Field(
        None,
        description="widths of the layers; empty: identity; null: the paper's, for the encoder",
    )
    projector_batch_norm: HiddenNorm = False

    @property
    def output_norm(self) -> Literal["none", "plain", "affine"]:
        """How projections are batch-normalised: not, without or with scale and offset."""
        return "none"

    def automatic(self, size: TrainingSize) -> Iterator[Choice]:
        """Gives the projector of ``paper_projector``, and what a method adds."""
        if self.projector is None:
            yield self.paper_projector(size)

    def paper_projector(self, size: TrainingSize) -> Choice:
        """Gives the projector that null means: two layers as wide as the features."""
        width = size.features
        return Choice("projector", (width, width), f"as wide as the encoder's {width:,} features")


def check_queue_size(queue_size: int | None, training: TrainingSettings) -> None:
    """Refuses a queue that is smaller than a batch.

    Raises:
        ValueError: naming both keys.

    """
    if queue_size is not None and queue_size < training.batch_size:
        raise ValueError(
            f"method.queue_size={queue_size} cannot hold a batch: expected at least "
            f"training.batch_size={training.batch_size}"
        )


def check_queue_age(queue_size: int | None, images: int) -> None:
    """Refuses a queue that holds more projections than there are images to train on.

    Raises:
        SettingsError: naming the key.

    """
    if queue_size is not None and queue_size > images:
        raise SettingsError(
            f"method.queue_size={queue_size} is more than the {images} training images, so that it "
            f"would hold older projections of those that it is compared with: expected at most "
            f"{images}, or null for a tenth of them"
        )


def complete_former(values: Any, former: Collection[str], added: Mapping[str, Any]) -> Any:
    """Completes what was written in full when a method had fewer settings.

    Args:
        values: of a configuration, or a section itself.
        former: the names of all settings that the method had then.
        added: those that were added since, with the values that stand for what was done then.

    """
    if not isinstance(values, Mapping) or not values.keys() >= set(former):
        return values
    return values if values.keys() & added.keys() else {**values, **added}


METHODS: Registry[MethodSettings] = Registry(
    "method", base=MethodSettings, group="twofold.methods", path="method.name"
)
AnyMethod = Annotated[MethodSettings, ChosenFrom(METHODS)]
