"""Training methods: what a batch of images becomes a loss by."""

from collections.abc import Callable

from components.methods.barlow_twins import BarlowTwins
from components.methods.base import Method
from components.methods.byol import BYOL
from components.methods.emp_ssl import EMPSSL
from components.methods.k_means import KMeans
from components.methods.moco import MoCo
from components.methods.nnclr import NNCLR
from components.methods.self_training import SelfTraining
from components.methods.simclr import SimCLR
from components.methods.simsiam import SimSiam
from components.methods.supervised import Supervised
from components.methods.vae import VAE
from components.methods.vicreg import VICReg

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
