"""One worker of several: trains what ``test_workers`` compares, and writes it to a file.

The environment variable ``TF_CONFIG`` says which worker it is, and of which cluster.
"""

import pickle
import sys
from pathlib import Path

from tests.components.training.trained import float64, train
from twofold.components import distribute


def main(path, *forms):
    strategy = distribute.make_strategy(2)
    with float64():
        trained = {form: train(strategy, form) for form in forms}
    Path(path).write_bytes(pickle.dumps((strategy.num_replicas_in_sync, trained)))


if __name__ == "__main__":
    main(*sys.argv[1:])
