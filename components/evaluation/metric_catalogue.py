"""Metrics catalogue: title, unit, direction and place of all that runs and studies measure.

A pattern is a metric's name in which `*` stands for a part without a slash and `**` for any part;
titles repeat these parts as `{0}`, `{1}`. Of several that fit, the first counts.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace


class Unit(enum.Enum):
    """What a value counts, which decides how it is written."""

    SHARE = "a share in [0, 1], written in per cent"
    POINTS = "a difference of shares in [-1, 1], written in percentage points"
    SCORE = "a score in [0, 1], written in digits"
    NUMBER = "a number without a unit"
    NATS = "nats"
    COUNT = "a count"
    BYTES = "bytes"
    MILLISECONDS = "milliseconds"
    PER_SECOND = "images a second"


class Direction(enum.Enum):
    """Whether a model with a higher value is the better one."""

    HIGHER = "higher is better"
    LOWER = "lower is better"
    NONE = "neither is better by itself"


class Place(enum.Enum):
    """Where a metric is shown beside the list of all; the catalogue's order is the order there."""

    HEADLINE = "what the command line prints after a run"
    TILES = "the first lines of a run's page"
    CARD = "the model card"
    CARD_ALWAYS = "the model card, also where it is not measured"
    GATE = "what `promote` holds a model to where nothing is named: the first that both have"
    STUDY_TABLE = "a column of the table of encoders on a study's page"
    STUDY_SUMMARY = "a column of what the command line prints after a study"
    ASIDE = "folded away: one of many, or not about the encoder"


class Basis(enum.Enum):
    """What has to be equal for two values to be values of the same thing."""

    IMAGES = "the images that it was measured on"
    TASK = "the method with its settings, the views, and how many images a step has"
    NOTHING = "nothing: it counts what anything takes"


@dataclass(frozen=True)
class Metric:
    """What is known of a metric.

    Attributes:
        pattern: its name, or that of a family.
        title: what it is, in words.
        unit: what its values count.
        direction: which way is better.
        shown: where, beside the list of all.
        interval: whether `<name>_low` and `<name>_high` hold the bounds of its 95 % interval.
        study_name: what a study calls its mean over seeds, `study/<encoder>/<study_name>`; empty
            for what a study does not repeat.
        column: the title where there is little room.
        known: whether the catalogue has it; False for a guess.
        basis: what two values must share to be compared.

    """

    pattern: str
    title: str
    unit: Unit = Unit.NUMBER
    direction: Direction = Direction.NONE
    shown: frozenset[Place] = frozenset()
    interval: bool = False
    study_name: str = ""
    column: str = ""
    known: bool = True
    basis: Basis = Basis.IMAGES


@dataclass(frozen=True)
class ChartOfCurves:
    """Curves of training that compare like with like: the chart's title, and its lines by tag."""

    title: str
    lines: Mapping[str, str]


_UP, _DOWN, _NEITHER = Direction.HIGHER, Direction.LOWER, Direction.NONE
_SHARE, _POINTS, _SCORE, _NUMBER = Unit.SHARE, Unit.POINTS, Unit.SCORE, Unit.NUMBER
_FIRST = (Place.HEADLINE, Place.TILES, Place.CARD)
_GATE, _ALWAYS, _TILES, _CARD = Place.GATE, Place.CARD_ALWAYS, Place.TILES, Place.CARD
_COLUMN, _SUMMARY, _ASIDE = Place.STUDY_TABLE, Place.STUDY_SUMMARY, Place.ASIDE


def _metric(
    pattern: str,
    title: str,
    unit: Unit = Unit.NUMBER,
    direction: Direction = Direction.NONE,
    *shown: Place,
) -> Metric:
    return Metric(pattern, title, unit, direction, frozenset(shown))


def _accuracy(pattern: str, title: str, *shown: Place) -> Metric:
    """An accuracy of counted images or drawn subsets, which has an interval."""
    return Metric(pattern, title, _SHARE, _UP, frozenset(shown), interval=True)


# What a study repeats of its members' metrics: what it calls their mean over seeds, and the title
# of its column.
_IN_STUDIES = {
    "linear_probe/test_accuracy": ("linear_probe_accuracy", "linear probe, converged"),
    "knn/test_accuracy": ("knn_accuracy", "kNN"),
    "clustering/nmi": ("clustering_nmi", "clusters, NMI"),
    "embedding/alignment": ("alignment", "alignment"),
    "embedding/uniformity": ("uniformity", "uniformity"),
    "embedding/effective_rank": ("effective_rank", "effective rank"),
    "embedding/feature_std": ("feature_std", "feature deviation"),
    "embedding/dead_units": ("dead_units", "dead units"),
    "robustness/clean_accuracy": ("clean_accuracy", "on these, uncorrupted"),
    "robustness/mean_accuracy": ("robust_accuracy", "on corrupted images"),
    "teacher/robustness/clean_accuracy": ("teacher_clean_accuracy", "its teacher, uncorrupted"),
    "teacher/robustness/mean_accuracy": ("teacher_robust_accuracy", "its teacher on these"),
    "robustness/gain_over_teacher": ("gain_over_teacher", "gain over its teacher"),
    # By which a sweep's settings are chosen.
    "pretrain/validation/accuracy": ("validation_accuracy", "online probe on validation images"),
}

_ACCURACIES = (
    _accuracy(
        "linear_probe/test_accuracy",
        "linear probe, held-out accuracy",
        *(*_FIRST, _ALWAYS, _GATE, _COLUMN),
    ),
    _accuracy("recipe_probe/test_accuracy", "recipe's probe, held-out accuracy", *_FIRST),
    _accuracy(
        "classifier/test_accuracy",
        "the network's own classifier, held-out accuracy",
        *_FIRST,
        _GATE,
    ),
    _accuracy("knn/test_accuracy", "kNN, held-out accuracy", *_FIRST, _ALWAYS, _GATE, _COLUMN),
    _accuracy("teacher/test_accuracy", "its teacher's classifier, held-out accuracy", *_FIRST),
    _accuracy("finetune/test_accuracy", "fine-tuned with labels, held-out accuracy", *_FIRST),
    _accuracy(
        "finetune_scratch/test_accuracy",
        "the same network from scratch, held-out accuracy",
        *_FIRST,
    ),
    _accuracy("finetune/best_test_accuracy", "fine-tuned, at its best validation epoch"),
    _accuracy("finetune_scratch/best_test_accuracy", "from scratch, at its best validation epoch"),
    _accuracy("finetune/*/test_accuracy", "fine-tuned on a share of {0} of the labels"),
    _accuracy("finetune_scratch/*/test_accuracy", "from scratch on a share of {0} of the labels"),
    _accuracy("label_fraction/*/test_accuracy", "linear probe on a share of {0} of the labels"),
    _accuracy(
        "linear_probe_projector/test_accuracy",
        "linear probe behind the projector, for comparison",
        *(_TILES, _CARD),
    ),
    _accuracy(
        "linear_probe_random/test_accuracy",
        "linear probe of an untrained encoder, for comparison",
        *(_TILES, _CARD),
    ),
    _accuracy(
        "linear_probe_pixels/test_accuracy",
        "linear probe of the pixels, for comparison",
        *(_TILES, _CARD),
    ),
    _accuracy("*/test_accuracy", "{0}, held-out accuracy", _CARD),
    _metric("*/train_accuracy", "{0}, accuracy on the training images", _SHARE, _NEITHER),
)


def _robustness(of: str, whose: str) -> tuple[Metric, ...]:
    def one(
        name: str, title: str, unit: Unit = _SHARE, direction: Direction = _UP, *shown: Place
    ) -> Metric:
        return _metric(f"{of}robustness/{name}", f"{whose}{title}", unit, direction, *shown)

    return (
        one("clean_accuracy", "accuracy on the same images, uncorrupted"),
        one("mean_accuracy_all", "mean accuracy under the extra corruptions, too"),
        one("mean_accuracy_severity_*", "mean accuracy at severity {0}", _SHARE, _UP, _ASIDE),
        one("relative_mce", "relative mCE", _NUMBER, _DOWN),
        one("mce_unnormalised", "mean error on corrupted images", _SHARE, _DOWN),
        one("relative_mce_unnormalised", "error added by corruptions", _POINTS, _DOWN),
        one("*/accuracy", "accuracy under {0}", _SHARE, _UP, _ASIDE),
        one("*/*/accuracy", "accuracy under {0} at severity {1}", _SHARE, _UP, _ASIDE),
        one("*/ce", "error under {0}, over the baseline's", _NUMBER, _DOWN, _ASIDE),
    )


_CORRUPTED = (
    _metric(
        "robustness/mean_accuracy",
        "mean accuracy on corrupted images",
        *(_SHARE, _UP),
        *(Place.HEADLINE, _TILES, _COLUMN, _SUMMARY),
    ),
    _metric(
        "teacher/robustness/mean_accuracy",
        "its teacher's, on the same corrupted images",
        *(_SHARE, _UP),
        *(_TILES, _COLUMN, _SUMMARY),
    ),
    _metric(
        "robustness/gain_over_teacher",
        "gain over its teacher on corrupted images",
        *(_POINTS, _UP),
        *(_COLUMN, _SUMMARY),
    ),
    _metric(
        "robustness/mce",
        "corruption error over the baseline's (mCE)",
        *(_NUMBER, _DOWN),
        *(Place.HEADLINE, _TILES),
    ),
    *_robustness("", ""),
    *_robustness("teacher/", "its teacher's "),
)

_EMBEDDING = (
    _metric("calibration/ece", "calibration error of the linear probe", _SHARE, _DOWN, _TILES),
    _metric(
        "clustering/nmi",
        "k-means against the labels, normalised mutual information",
        *(_SCORE, _UP),
        *(_CARD, _ALWAYS, _COLUMN),
    ),
    _metric("clustering/ari", "k-means against the labels, adjusted Rand index", _NUMBER, _UP),
    _metric("retrieval/recall_at_1", "retrieval, recall at 1", _SCORE, _UP, _CARD, _ALWAYS),
    _metric("retrieval/recall_at_*", "retrieval, recall at {0}", _SCORE, _UP),
    _metric("retrieval/map", "retrieval, mean average precision", _SCORE, _UP, _CARD, _ALWAYS),
    replace(
        _metric("pretrain/loss", "pretraining loss at the end", _NUMBER, _DOWN, *_FIRST, _ALWAYS),
        basis=Basis.TASK,
    ),
    _metric(
        "embedding/effective_rank",
        "effective rank of the embedding",
        *(_NUMBER, _UP),
        *(*_FIRST, _ALWAYS, _COLUMN),
    ),
    # Less is not better of these by themselves: the alignment of a collapsed embedding is perfect.
    _metric("embedding/alignment", "distance of two views", _NUMBER, _NEITHER, _COLUMN),
    _metric("embedding/uniformity", "uniformity of the embedding", _NUMBER, _NEITHER, _COLUMN),
    _metric("embedding/dead_units", "units alike for all images", _NUMBER, _DOWN, _COLUMN),
    _metric("embedding/feature_std", "deviation of normalised features", _NUMBER, _NEITHER),
)

_COSTS = (
    _metric(
        "pretrain/images_per_second",
        "images a second in training, median",
        *(Unit.PER_SECOND, _UP, _ASIDE),
    ),
    _metric("export/bytes", "size of the exported model", Unit.BYTES, _DOWN, _ASIDE),
    *(
        _metric(f"export/{pattern}", title, unit, direction, _ASIDE)
        for pattern, title, unit, direction in (
            ("latency_ms_batch_*", "median latency of a batch of {0}", Unit.MILLISECONDS, _DOWN),
            ("max_difference/**", "largest difference of {0} from training", _NUMBER, _DOWN),
            ("*/max_difference", "{0}, largest difference from the SavedModel", _NUMBER, _DOWN),
            ("*/bytes", "{0}, size of the file", Unit.BYTES, _DOWN),
            ("*/accuracy", "{0}, held-out accuracy", _SHARE, _UP),
            ("*/accuracy_drop", "{0}, accuracy lost by conversion", _POINTS, _DOWN),
        )
    ),
    *(
        _metric(f"prepare/{name}", title, Unit.COUNT, _NEITHER, _ASIDE)
        for name, title in (
            ("read", "images read"),
            ("written", "images written"),
            ("rejected", "images rejected"),
            ("removed_duplicates", "images left out as duplicates"),
            ("duplicates_exact", "images with equal pixels"),
            ("duplicates_near", "images that look alike"),
            ("duplicates_leaked", "training images that resemble a held-out one"),
        )
    ),
)

# Of the classifier beside the training, or of the network's own, on images that train nothing.
_WATCHED = tuple(
    _metric(
        f"pretrain/{split}/{name}",
        f"{split}, {name} at the end of pretraining",
        unit,
        better,
        *((_COLUMN, _SUMMARY) if (split, name) == ("validation", "accuracy") else ()),
    )
    for split in ("validation", "test")
    for name, unit, better in (("accuracy", _SHARE, _UP), ("loss", _NUMBER, _DOWN))
)
# Last values of the curves of training, by what they are called there; a method may add its own.
_TRAINING = (
    _metric("pretrain/*/accuracy", "{0}, accuracy at the end of pretraining", _SHARE, _UP),
    _metric("pretrain/*/loss", "{0}, loss at the end of pretraining", _NUMBER, _DOWN),
    _metric("pretrain/accuracy", "training accuracy at the end", _SHARE, _UP),
    _metric("pretrain/*_accuracy", "{0} accuracy at the end of pretraining", _SHARE, _UP),
    _metric("pretrain/consistency", "consistency loss at the end", Unit.NATS, _DOWN),
    _metric("pretrain/cross_entropy", "cross-entropy at the end", Unit.NATS, _DOWN),
    _metric("pretrain/reconstruction", "reconstruction error at the end", Unit.NATS, _DOWN),
    _metric("pretrain/invariance", "distance of the two views' projections at the end", _NUMBER),
    _metric("pretrain/variance", "what deviations of projections lack at the end", _NUMBER),
    _metric("pretrain/covariance", "squared covariances of projections at the end", _NUMBER),
    _metric("pretrain/kl", "divergence from the prior at the end", Unit.NATS),
    _metric("pretrain/*_deviation", "{0} deviation at the end, of an even spread's"),
    _metric("pretrain/*_effective_rank", "{0} effective rank at the end of pretraining"),
    _metric("pretrain/*_uniformity", "{0} uniformity at the end of pretraining"),
    _metric("pretrain/**", "{0} at the end of pretraining"),
)

_OF_A_RUN = tuple(
    replace(
        one,
        study_name=_IN_STUDIES.get(one.pattern, ("", ""))[0],
        column=_IN_STUDIES.get(one.pattern, ("", ""))[1],
    )
    for one in (
        *(*_ACCURACIES, *_CORRUPTED, *_EMBEDDING),
        *(replace(one, basis=Basis.NOTHING) for one in _COSTS),
        *_WATCHED,
        *(replace(one, basis=Basis.TASK) for one in _TRAINING),
    )
)
_OF_A_STUDY = (
    *(
        replace(
            one,
            pattern=f"study/*/{one.study_name}",
            title=f"{{0}}, {one.column}",
            shown=frozenset(),
            interval=True,
            study_name="",
        )
        for one in _OF_A_RUN
        if one.study_name
    ),
    _metric("study/*/decodability/*", "{1} read linearly from {0}", _NUMBER, _UP),
    _accuracy("study/*/*_accuracy@*", "{0}, {1} accuracy on a share of {2} of the labels"),
    _accuracy("study/*/*_accuracy", "{0}, {1} accuracy"),
)
CATALOGUE: tuple[Metric, ...] = (*_OF_A_RUN, *_OF_A_STUDY)

# Curves that share a chart. One that is not here has a chart of its own.
CHARTS: tuple[ChartOfCurves, ...] = (
    ChartOfCurves("loss", {"loss": "loss"}),
    ChartOfCurves(
        "accuracy",
        {
            "accuracy": "training",
            "online_probe/accuracy": "online probe",
            "validation/accuracy": "validation",
            "test/accuracy": "test",
        },
    ),
    ChartOfCurves(
        "loss of the classifier",
        {
            "online_probe/loss": "online probe",
            "validation/loss": "validation",
            "test/loss": "test",
        },
    ),
    ChartOfCurves(
        "accuracy of the method's own task",
        {"contrastive_accuracy": "contrastive", "correlation_accuracy": "correlation"},
    ),
    ChartOfCurves(
        "reconstruction and divergence, nats",
        {"reconstruction": "reconstruction", "kl": "divergence"},
    ),
    ChartOfCurves("feature standard deviation", {"feature_std": "feature standard deviation"}),
    ChartOfCurves(
        "deviation, of an even spread's",
        {"feature_deviation": "features", "projection_deviation": "projections"},
    ),
    ChartOfCurves(
        "effective rank",
        {"feature_effective_rank": "features", "projection_effective_rank": "projections"},
    ),
    ChartOfCurves(
        "uniformity", {"feature_uniformity": "features", "projection_uniformity": "projections"}
    ),
    ChartOfCurves("learning rate", {"learning_rate": "learning rate"}),
    ChartOfCurves("images per second", {"images_per_second": "images per second"}),
)
