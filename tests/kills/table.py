"""Kill table: random kills of every method family, by kind: points tried, and how many differed.

    make test-kills
    python -m tests.kills.table --points 20 --seed 1 --forms nnclr vae

Each training has twelve steps of three epochs with a probe, averaged weights, a plateau rule and
the weights of the best epoch; after each kill it goes on, and weights, optimizer, queues, momentum
networks, averages and curves must equal those of a training that was never killed, bit for bit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.components.methods.forms import FORMS
from tests.kills.points import KINDS, count_writes, survives
from tests.kills.rig import Rig

# Of the dictionary no step trains anything.
_FORMS = [form for form in FORMS if "," not in form and form != "k_means"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Tries the points, prints the table and each point that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=12, help="of each kind, form and replicas")
    parser.add_argument("--seed", type=int, default=0, help="of the points")
    parser.add_argument("--forms", nargs="+", choices=_FORMS, default=_FORMS)
    parser.add_argument("--replicas", nargs="+", type=int, default=[1, 2])
    options = parser.parse_args(arguments)
    table = Table("method", "replicas", *KINDS, title="points tried, and how many differed")
    problems, tried = [], 0
    for form in options.forms:
        for replicas in options.replicas:
            cells = []
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                rig = Rig(form, place / "first", replicas)
                writes = count_writes(rig, place / "counted")
                rig.curves = {}
                whole = rig.train(place / "whole")
                for kind in KINDS:
                    random = np.random.default_rng([options.seed, replicas, len(form)])
                    found = [
                        survives(rig, kind, place / "run", random, writes, whole)
                        for _ in range(options.points)
                    ]
                    wrong = [one for one in found if one is not None]
                    tried += len(found)
                    problems += [f"{form}, {replicas} replicas, {kind}: {one}" for one in wrong]
                    cells.append(f"{len(found)}, {len(wrong)}")
            table.add_row(form, str(replicas), *cells)
            print(f"{form}, {replicas}: {', '.join(cells)}", file=sys.stderr, flush=True)
    Console(width=120).print(table)
    print(f"{tried} points, {len(problems)} differed")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    # As tests/conftest.py does, before TensorFlow runs.
    import tensorflow

    tensorflow.config.set_logical_device_configuration(
        tensorflow.config.list_physical_devices("CPU")[0],
        [tensorflow.config.LogicalDeviceConfiguration()] * 2,
    )
    main()
