"""Chart layout: curves that belong in one chart, for the tab of custom scalars."""

from __future__ import annotations

from collections.abc import Mapping

from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.custom_scalar import layout_pb2, summary

# Of each category its charts, and of each chart the tags of its curves, as regular expressions.
_CHARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "how well": {
        "loss": ("loss/total",),
        "accuracy": (
            "task/accuracy",
            "probe/(training|validation|test)/accuracy",
            "probe/.*/knn_accuracy",
        ),
        "loss of the classifier": ("probe/(training|validation|test)/loss",),
    },
    "how healthy": {
        "effective rank": ("geometry/(feature_|.*/)effective_rank",),
        "deviation of the features": ("geometry/feature_deviation",),
        "update to weight": ("rate/update_to_weight/.*",),
        "norms": ("rate/gradient_norm", "rate/weight_norm/.*"),
    },
    "how fast": {
        "learning rate": ("rate/learning_rate",),
        "images a second": ("system/images_per_second",),
    },
}


def chart_layout() -> summary_pb2.Summary:
    """Gives the layout as a summary to write once for a run."""
    layout = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title=title,
                chart=[
                    layout_pb2.Chart(
                        title=name,
                        multiline=layout_pb2.MultilineChartContent(
                            tag=[f"^{tag}$" for tag in tags]
                        ),
                    )
                    for name, tags in charts.items()
                ],
            )
            for title, charts in _CHARTS.items()
        ]
    )
    written: summary_pb2.Summary = summary.pb(layout)
    return written
