"""Commands that draw pictures: `views`, `corruptions` and `reconstructions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from twofold.pipeline.cli.commands.run_options import DATASETS
from twofold.pipeline.cli.console import out as console
from twofold.pipeline.cli.path_arguments import local, local_or_bucket
from twofold.pipeline.tensorflow_import import import_tensorflow


def views(
    policy: Annotated[str, typer.Argument(help="its name; an unknown one lists the known")],
    images: Annotated[
        Path | None,
        typer.Option(
            help="an image, a folder, a .zip, a .tar or a .npz; none: sprites", callback=local
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="the PNG file to write", callback=local)] = Path(
        "views.png"
    ),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="override a setting of the policy"),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=40, help="how many images")] = 8,
    each: Annotated[int, typer.Option(min=1, max=40, help="how many views of each")] = 4,
    size: Annotated[
        int | None, typer.Option(min=8, help="side in pixels; none: the first image's")
    ] = None,
) -> None:
    """Draw what a view policy does to a few images.

    Example: twofold views byol_a --images photos.zip --out views.png
    """
    import_tensorflow()
    from twofold.pipeline.cli.views_picture import parse_policy, picture_views

    chosen = parse_policy(policy, settings or [])
    drawn = picture_views(chosen, images, out, count=count, each=each, size=size)
    console.print(escape(f"{drawn} images with {each} views each in {out}"))


def corruptions(
    images: Annotated[
        Path | None,
        typer.Option(
            help="an image, or what holds some: the first is drawn; none: a sprite", callback=local
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="the PNG file to write", callback=local)] = Path(
        "corruptions.png"
    ),
    seed: Annotated[int, typer.Option(min=0, help="another number gives other noise")] = 0,
    size: Annotated[
        int | None, typer.Option(min=8, help="side in pixels; none: the image's own")
    ] = None,
) -> None:
    """Draw what the 19 common corruptions do to an image, at each severity.

    Example: twofold corruptions --images photo.jpg --size 32
    """
    import_tensorflow()
    from twofold.pipeline.cli.corruptions_picture import picture_corruptions

    drawn = picture_corruptions(images, out, seed=seed, size=size)
    console.print(escape(f"{drawn} corruptions in {out}"))


def reconstructions(
    run_directory: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="directory of a run that rebuilds images", callback=local
        ),
    ],
    images: Annotated[
        list[str] | None,
        typer.Option(
            "--image",
            metavar="IMAGE",
            help="a held-out image's key, or its number from 0 on; repeatable; none: the first ten",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="the PNG file to write", callback=local)] = Path(
        "reconstructions.png"
    ),
    datasets: Annotated[
        str | None,
        typer.Option(
            help="where data sets are kept; none: datasets beside the run", callback=local_or_bucket
        ),
    ] = None,
) -> None:
    """Draw held-out images of your choice, and what the decoder of a run makes of them.

    Example: twofold reconstructions twofold-runs/dsprites_vae --image 3 --image 17
    """
    import_tensorflow()
    from twofold.pipeline.reports.reconstructions import picture_reconstructions

    directory = datasets or str(run_directory.resolve().parent / DATASETS)
    drawn = picture_reconstructions(run_directory, directory, images or [], out)
    console.print(escape(f"{drawn} images in {out}"))
