"""Recipe E's study: five encoders of the same sprites, side by side, as published.

    twofold run dsprites_study --set data.source=npz --set data.path=dsprites_subset.npz

``--set study.seeds=[0,1,2]`` gives means with intervals. Without the other two settings it
generates images of its own.

Cost: about two hours of one CPU core a seed (the VAE's 300 epochs most of it), and half of that
with ``--set training.precision=bfloat16`` on a processor with instructions for it.

Each encoder is trained as the Neuromatch tutorial trains it, and read by its probe. The curves over
shares of the labels have epochs of their own: 20 of a supervised network, 8 of a probe, each
divided by the root of the share. Values of these curves that the publication shows in a picture
alone, read off, are for the supervised network 45, 52.5, 68.5, 89.7, 97.8 and 98.7 per cent, for
SimCLR 92.6, 93.1, 95.8, 96.8, 96.2 and 97.3, for the VAE 43.8, 44.3, 46.4, 45.8, 45.3 and 45.0,
and untrained 33.5, 41.2, 41.4, 42.2, 44.3 and 44.0.
"""

from twofold.pipeline.config import StudyConfig
from twofold.pipeline.config.expected import PUBLIC_DSPRITES, Expected
from twofold.pipeline.recipes.dsprites_simclr import CONFIG as SIMCLR

FRACTIONS = (0.05, 0.1, 0.2, 0.4, 0.75, 1.0)
RANDOM = ("views.policy=none", "method.name=random", "evaluation.probe_epochs=25")
# Like each of the others, but for its epochs.
SUPERVISED = (
    "views.policy=none",
    "method.name=supervised",
    "training.schedule_epochs=100",
    "training.batch_statistics=training",
)
VAE = (
    "views.policy=none",
    "method.name=vae",
    "training.batch_size=500",
    "evaluation.probe_epochs=25",
)

CONFIG = SIMCLR.model_copy(
    update={
        "name": "dsprites_study",
        "training": SIMCLR.training.model_copy(
            # What decides nothing need not see all held-out images after each epoch.
            update={"validation_images": 1000}
        ),
        "study": StudyConfig(
            encoders={
                "supervised": (*SUPERVISED, "training.epochs=10"),
                "random": RANDOM,
                "simclr": (),
                "two_negatives": ("method.negatives=2", "evaluation.probe_epochs=50"),
                "vae": (*VAE, "training.epochs=300"),
            },
            label_fractions=FRACTIONS,
            fraction_probe_epochs=8,
            fraction_training_epochs=20,
            curve_groups={"published": ("supervised", "random", "vae", "simclr")},
            rsm_images=None,
            overlaid=("simclr", "two_negatives", "random"),
            reference={
                "raw": 0.3955,
                "supervised": 0.9870,
                "random": 0.4467,
                "vae": 0.4575,
                "simclr": 0.9753,
                "two_negatives": 0.6675,
            },
        ),
    }
)

_PUBLISHED = {
    "supervised": {0.05: 0.45, 0.1: 0.525, 0.2: 0.685, 0.4: 0.897, 0.75: 0.978},
    "simclr": {0.05: 0.926, 0.4: 0.968},
    "vae": {0.05: 0.438},
    "random": {0.05: 0.335},
}
"""Held-out accuracies of the published picture of curves, read off, by share of the labels."""


def _expected(metric: str, published: float, note: str = "") -> Expected:
    """Gives what is published; three seeds of ours are to stand beside it."""
    return Expected(
        f"study/{metric}",
        None,
        seeds=(0, 1, 2),
        published=published,
        protocol=PUBLIC_DSPRITES,
        settings=("study.seeds=[0,1,2]",),
        note=note,
    )


EXPECTED = (
    _expected("raw/shape_accuracy", 0.3955),
    _expected("supervised/shape_accuracy", 0.987),
    _expected("random/shape_accuracy", 0.4467),
    _expected("simclr/shape_accuracy", 0.9753),
    _expected("two_negatives/shape_accuracy", 0.6675),
    _expected("vae/shape_accuracy", 0.4575),
    *(
        _expected(f"{encoder}/shape_accuracy@{share:g}", value, "read off a picture")
        for encoder, values in _PUBLISHED.items()
        for share, value in values.items()
    ),
)
