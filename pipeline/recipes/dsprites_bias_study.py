"""Recipe E's biased training set: which encoders mistake position for shape where both go together.

    twofold run dsprites_bias_study --set data.source=npz --set data.path=dsprites_subset.npz

Squares lie to the left, ovals in the middle, hearts to the right, in training alone; the probe sees
these images, too. The control trains on as many images without that bias. Both are held to the same
unbiased held-out images. All encoders are the network of ``dsprites_best``, which averages over
positions; with ``--set encoder.pooling=flatten --set encoder.filters=[6,16] --set
encoder.units=[120,84,84] --name flattened`` they are the published one.

Cost: 54 minutes of one CPU core that has AVX2 and no AVX512, beside other work: 16 for each SimCLR,
9 for each supervised network.

In ``EXPECTED``, accuracies of shapes are those of the recipe's probe, or of the supervised
network's own classifier; beside them stand those of logistic regression and of kNN.

The average over positions keeps the position from passing for the shape, whoever trains the
network. The published network takes the one for the other. Supervised, it has 34.66 % on the biased
set, which is chance, and 90.06 on the control; untrained, the recipe's probe has 34.92 and 39.90.
SimCLR on the biased set has 60.30 by the recipe's probe after 60 epochs at these settings, and had
75.80 (85.18 by logistic regression, 88.75 by kNN) after 600 steps of 1,000 images at temperature
0.5, as published; the reference says that its own stays good.
"""

from twofold.pipeline.config import StudyConfig, override
from twofold.pipeline.config.expected import PUBLIC_DSPRITES, Expected
from twofold.pipeline.recipes.dsprites_best import CONFIG as BEST

# Squares, ovals, hearts at posX indices 0-9, 11-20, 22-30 of 0-31; positions are shares of 31.
_BIAS = (
    "data.training_rules=[{label: [0, 0], posX: [0, 0.3]}, {label: [1, 1], posX: [0.34, 0.66]}, "
    "{label: [2, 2], posX: [0.69, 0.98]}]"
)
# As many as meet the rules among the training images of the public subset.
_CONTROL = "data.training_images=4886"
_SUPERVISED = ("views.policy=none", "method.name=supervised")
_RANDOM = ("views.policy=none", "method.name=random", "evaluation.probe_epochs=25")

CONFIG = override(
    BEST,
    [
        "name=dsprites_bias_study",
        "training.epochs=20",
        "training.warmup_epochs=2",
        "evaluation.label_fractions=[]",
    ],
).model_copy(
    update={
        "study": StudyConfig(
            encoders={
                "random_biased": (*_RANDOM, _BIAS),
                "random_control": (*_RANDOM, _CONTROL),
                "supervised_biased": (*_SUPERVISED, _BIAS),
                "supervised_control": (*_SUPERVISED, _CONTROL),
                "simclr_biased": (_BIAS,),
                "simclr_control": (_CONTROL,),
            },
            pixels=None,
        ),
    }
)

_MEASURES = ("shape_accuracy", "linear_probe_accuracy", "knn_accuracy")

EXPECTED = tuple(
    Expected(f"study/{encoder}/{measure}", value, protocol=PUBLIC_DSPRITES)
    for encoder, values in {
        "random_biased": (0.8086, 0.9241, 0.9762),
        "random_control": (0.8278, 0.9421, 0.9884),
        "supervised_biased": (0.997, 0.9977, 0.9967),
        "supervised_control": (1.0, 1.0, 1.0),
        "simclr_biased": (1.0, 1.0, 1.0),
        "simclr_control": (1.0, 1.0, 1.0),
    }.items()
    for measure, value in zip(_MEASURES, values, strict=True)
)
