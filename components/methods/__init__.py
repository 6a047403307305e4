"""Training methods: what a batch of images becomes a loss by."""

from collections.abc import Callable

from twofold.components.methods.contrastive.moco import MoCo
from twofold.components.methods.contrastive.nnclr import NNCLR
from twofold.components.methods.contrastive.simclr import SimCLR
from twofold.components.methods.generative.k_means import KMeans
from twofold.components.methods.generative.vae import VAE
from twofold.components.methods.labelled.self_training import SelfTraining
from twofold.components.methods.labelled.supervised import Supervised
from twofold.components.methods.method import Method
from twofold.components.methods.redundancy.barlow_twins import BarlowTwins
from twofold.components.methods.redundancy.emp_ssl import EMPSSL
from twofold.components.methods.redundancy.vicreg import VICReg
from twofold.components.methods.self_distillation.byol import BYOL
from twofold.components.methods.self_distillation.simsiam import SimSiam

METHODS: dict[str, Callable[..., Method]] = {
    "barlow_twins": BarlowTwins,
    "byol": BYOL,
    "emp_ssl": EMPSSL,
    "k_means": KMeans,
    "moco": MoCo,
    "nnclr": NNCLR,
    "self_training": SelfTraining,
    "simclr": SimCLR,
    "simsiam": SimSiam,
    "supervised": Supervised,
    "vae": VAE,
    "vicreg": VICReg,
}
