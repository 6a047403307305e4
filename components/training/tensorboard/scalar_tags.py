"""Scalar tags: the names of curves in TensorBoard, where their first part is the group.

Everything else knows a curve by the name that its metric has: ``loss``, ``online_probe/accuracy``.
"""

from __future__ import annotations

from collections.abc import Mapping

# Of these groups there are curves over the images seen, too.
LEARNING = ("loss", "task", "probe", "geometry")
# Curves of no run's result: over the images seen, and what only TensorBoard shows.
VERSUS_IMAGES = "versus_images"
_GROUPS = (*LEARNING, "rate", "system")

# Curve -> tag. One that is not here is of the method's own task.
_TAGS: Mapping[str, str] = {
    "loss": "loss/total",
    "reconstruction": "loss/reconstruction",
    "kl": "loss/kl",
    "invariance": "loss/invariance",
    "variance": "loss/variance",
    "covariance": "loss/covariance",
    "cross_entropy": "loss/cross_entropy",
    "consistency": "loss/consistency",
    "online_probe/loss": "probe/training/loss",
    "online_probe/accuracy": "probe/training/accuracy",
    "feature_std": "geometry/feature_std",
    **{
        f"{what}_{name}": f"geometry/{what}_{name}"
        for what in ("feature", "projection")
        for name in ("deviation", "effective_rank", "uniformity")
    },
    "learning_rate": "rate/learning_rate",
    "gradient_norm": "rate/gradient_norm",
    "images_per_second": "system/images_per_second",
}
_CURVES = {tag: curve for curve, tag in _TAGS.items()}
# What the classifier is measured by on images that it does not see: ``<split>/loss``.
_MEASURES = ("loss", "accuracy")

_DESCRIPTIONS: Mapping[str, str] = {
    "loss/total": "what gradients make smaller: mean over the steps since the last point",
    "loss/reconstruction": "reconstruction error, nats an image",
    "loss/kl": "divergence of the codes from the prior, nats an image",
    "loss/invariance": "squared distance of the projections of two views, before its weight",
    "loss/variance": "what deviations of projections lack to 1, before its weight",
    "loss/covariance": "squared covariances of projections, before its weight",
    "loss/cross_entropy": "of labelled images, nats",
    "loss/consistency": "of images without a label, nats",
    "task/accuracy": "share of labelled training images that the network's own head gets right",
    "task/contrastive_accuracy": "share of views whose partner is the nearest of all candidates",
    "task/correlation_accuracy": "share of features that correlate most with themselves over two "
    "views",
    "task/agreement": "mean cosine of a patch's projection and the mean of its image",
    "task/atoms_used": "share of the dictionary's atoms that some patch of the batch is nearest to",
    "probe/training/loss": "cross-entropy, nats, of the linear probe that is trained beside the "
    "encoder, on the labelled images of the batch",
    "probe/training/accuracy": "share of the labelled images of the batch that the linear probe "
    "beside the encoder gets right",
    "geometry/feature_std": "mean over features of the deviation of unit features (Chen & He, 2021,"
    " 4.1): 0 where all images have the same, 1 / root of the width where they are spread evenly",
    "geometry/feature_deviation": "of unit features of training images without views, times the "
    "root of the width: 0 where all have the same, 1 where they are spread evenly (Chen & He, "
    "2021, 4.1)",
    "geometry/feature_effective_rank": "directions that the features of training images use: 1 "
    "where all have the same (RankMe; Garrido et al., 2023)",
    "geometry/feature_uniformity": "of the unit features of training images: 0 where all have the "
    "same, about -4 where they are spread evenly (Wang & Isola, 2020)",
    "geometry/projection_deviation": "as that of features, of projections",
    "geometry/projection_effective_rank": "as that of features, of projections",
    "geometry/projection_uniformity": "as that of features, of projections",
    "rate/learning_rate": "of the last step",
    "rate/gradient_norm": "of the whole gradient of the global batch, before any clipping: mean "
    "over the steps since the last point; of several replicas only where gradients are clipped",
    "system/images_per_second": "since the last point; the first one's counts compilation",
}


def tag_of(curve: str) -> str:
    """Names a curve as TensorBoard shows it."""
    split, _, measure = curve.rpartition("/")
    if curve in _TAGS:
        return _TAGS[curve]
    if split and measure in _MEASURES:
        return f"probe/{curve}"
    return f"task/{curve}"


def curve_of(tag: str) -> str | None:
    """Names a curve of training by its tag; None for what only TensorBoard shows.

    The tags of earlier versions were the names themselves.
    """
    if tag in _CURVES:
        return _CURVES[tag]
    group, _, rest = tag.partition("/")
    if group == "task" and rest:
        return rest
    if group == "probe" and rest.rpartition("/")[2] in _MEASURES:
        return rest
    return None if rest and group in (*_GROUPS, VERSUS_IMAGES) else tag


def describe(tag: str) -> str:
    """Says what a curve of training is, for the person who hovers over its title."""
    if tag in _DESCRIPTIONS:
        return _DESCRIPTIONS[tag]
    group, _, rest = tag.partition("/")
    split, _, measure = rest.rpartition("/")
    if group == "probe" and measure in _MEASURES:
        what = "cross-entropy, nats" if measure == "loss" else "accuracy"
        return f"{what} of the classifier on {split} images, which train nothing, after each epoch"
    return "as the method measures it: mean over the steps since the last point"
