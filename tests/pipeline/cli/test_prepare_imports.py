"""`twofold prepare` never loads TensorFlow, which would take three times its memory."""

import json
import subprocess
import sys
from pathlib import Path

from tests.pipeline.conftest import save_images

HEAVY = ("tensorflow", "keras", "tensorflow_datasets", "matplotlib", "sklearn", "scipy")

# In a process of its own: this one has them all.
PREPARE = """
import json, sys
from twofold.pipeline.cli.app import main
try:
    main(sys.argv[1:])
finally:
    print(json.dumps(sorted(sys.modules)))
"""


def test_preparing_image_files_loads_neither_tensorflow_nor_what_draws_and_fits(
    tmp_path: Path,
) -> None:
    for name in ("cat", "dog"):
        save_images(tmp_path / "images" / name, 5)
    arguments = ["prepare", "folder_simclr", "--workdir", str(tmp_path / "runs")]
    arguments += ["--set", f"data.path={tmp_path / 'images'}"]
    finished = subprocess.run(
        [sys.executable, "-c", PREPARE, *arguments], check=False, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    loaded = json.loads(finished.stdout.splitlines()[-1])
    assert "apache_beam" in loaded
    assert [name for name in HEAVY if name in loaded] == []
