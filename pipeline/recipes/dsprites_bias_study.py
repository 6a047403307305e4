"""Recipe E's biased training set: which encoders take place for shape, when the two go together.

    twofold run dsprites_bias_study --set data.source=npz --set data.path=dsprites_subset.npz

Squares lie to the left, ovals in the middle, hearts to the right, in training alone; the probe sees
these images, too. The control trains on as many images without that bias. Both are held to the same
unbiased held-out images. All encoders are the network of ``dsprites_best``.
"""

from pipeline.config import StudyConfig, override
from pipeline.recipes.dsprites_best import CONFIG as BEST

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
