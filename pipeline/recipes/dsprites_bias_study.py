"""Recipe E's biased training set: which encoders mistake position for shape, as published.

    twofold run dsprites_bias_study --set data.source=npz --set data.path=dsprites_subset.npz

Squares lie to the left, ovals in the middle, hearts to the right, in training alone; the classifier
sees these images, too. The control trains on as many images without that bias. Both are held to the
same unbiased held-out images, 5 per cent of all. Four encoders each: supervised (80 epochs),
untrained, VAE (450) and SimCLR (150), the network of the tutorial, and curves of their accuracies
over shares of the labels, on held-out and on training images. ``figures/images_biased.png`` and
``images_control.png`` show twenty images of each set with their centres and the bounds of posX.

The publication says that SimCLR alone stays good, and is even better than its control; it shows no
numbers. Of all 20,000 images 6,115 have the bias, and of the 19,000 that its split leaves to train
on 5,808; the control has as many. Where fewer labels take more than 100 epochs, the classifier's
rate rises again, as it does in PyTorch.

Cost: about two hours of one CPU core (not measured): a VAE 35 minutes, SimCLR 15, the supervised
networks 10, of each set.
"""

from twofold.components.data.sources.permuted_split import PermutedSplit
from twofold.pipeline.config import StudyConfig
from twofold.pipeline.config.expected import PUBLIC_DSPRITES, Expected
from twofold.pipeline.recipes.dsprites_study import CONFIG as STUDY
from twofold.pipeline.recipes.dsprites_study import FRACTIONS, RANDOM, SUPERVISED, VAE

# Squares, ovals, hearts at posX indices 0-9, 11-20, 22-30 of 0-31; positions are shares of 31.
_BIAS = (
    "data.training_rules=[{label: [0, 0], posX: [0, 0.3]}, {label: [1, 1], posX: [0.34, 0.66]}, "
    "{label: [2, 2], posX: [0.69, 0.98]}]"
)
# As many as meet the rules among the training images of the public subset.
_CONTROL = "data.training_images=5808"
_SETS = {"control": _CONTROL, "biased": _BIAS}
_PROBE = "evaluation.probe_epochs=30"
_ENCODERS = {
    "supervised": (*SUPERVISED, "training.epochs=80"),
    "random": (*RANDOM, _PROBE),
    "vae": (*VAE, "training.epochs=450", _PROBE),
    "simclr": ("training.epochs=150", _PROBE),
}

_NAMES = {images: tuple(f"{encoder}_{images}" for encoder in _ENCODERS) for images in _SETS}

CONFIG = STUDY.model_copy(
    update={
        "name": "dsprites_bias_study",
        "data": STUDY.data.model_copy(
            update={
                "source": STUDY.data.source.model_copy(
                    update={"permuted_split": PermutedSplit(seed=2021, test_share=0.05)}
                )
            }
        ),
        "study": StudyConfig(
            encoders={
                f"{encoder}_{images}": (*settings, chosen)
                for images, chosen in _SETS.items()
                for encoder, settings in _ENCODERS.items()
            },
            pixels=None,
            label_fractions=FRACTIONS,
            curve_groups=_NAMES,
            pictured={images: f"simclr_{images}" for images in _SETS},
            rsm_images=None,
        ),
    }
)

EXPECTED = tuple(
    Expected(f"study/{encoder}/shape_accuracy", None, protocol=PUBLIC_DSPRITES)
    for names in _NAMES.values()
    for encoder in names
)
