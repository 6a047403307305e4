"""Commands for an exported model: `inspect`, `promote`, `rollback` and `serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from twofold.pipeline.cli.console import errors, out
from twofold.pipeline.cli.path_arguments import local
from twofold.pipeline.tensorflow_import import import_tensorflow

ModelArgument = Annotated[
    Path,
    typer.Argument(help="an exported version, or versions, of which the newest", callback=local),
]
RootArgument = Annotated[
    Path, typer.Argument(help="the directory that a server watches", callback=local)
]


def inspect(model_dir: ModelArgument) -> None:
    """Print what an exported model is and comes from, and verify it; exit status 1 for damage.

    A SavedModel is a program, and verifying one runs it.

    Example: twofold inspect twofold-runs/quickstart/saved_model
    """
    import_tensorflow()
    from twofold.pipeline.models.inspect_model import inspect_model

    raise typer.Exit(inspect_model(model_dir, out=out))


def promote(
    model_dir: ModelArgument,
    serving_root: RootArgument,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="a metric that may not be worse than the served model's; repeatable"),
    ] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option(min=0, help="of the median answer to one image, measured now")
    ] = None,
    breaking: Annotated[
        bool, typer.Option("--breaking", help="allow what breaks callers of the served model")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="skip the gate; it is recorded")] = False,
) -> None:
    """Publish a model under the next number, if it is intact and no worse than what is served.

    Example: twofold promote twofold-runs/quickstart/saved_model serving/ --max-latency-ms 20
    """
    import_tensorflow()
    from twofold.pipeline.models.promote_model import Requirements
    from twofold.pipeline.models.promote_model import promote as promote_model

    requirements = Requirements(tuple(metric or ()), max_latency_ms, breaking, force)
    raise typer.Exit(promote_model(model_dir, serving_root, requirements, out=out, errors=errors))


def rollback(
    serving_root: RootArgument,
    to: Annotated[
        int | None, typer.Option(min=0, help="the version to serve; none: the one before")
    ] = None,
) -> None:
    """Serve an earlier version again; those above it are kept in withdrawn/.

    Example: twofold rollback serving/
    """
    import_tensorflow()
    from twofold.pipeline.models.promote_model import rollback as roll_back

    roll_back(serving_root, to, out=out)


def serve(
    model_dir: Annotated[
        Path, typer.Argument(help="holds integer versions of a SavedModel", callback=local)
    ],
    name: Annotated[str, typer.Option(help="name of the model in the address")] = "encoder",
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    rest_port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8501,
) -> None:
    """Answer TensorFlow Serving's REST requests with a model.

    Example: twofold serve twofold-runs/quickstart/saved_model
    """
    import_tensorflow()
    from twofold.serving.rest import serve as serve_model

    serve_model(
        model_dir,
        name=name,
        host=host,
        rest_port=rest_port,
        on_ready=lambda url: out.print(
            f"serving {escape(str(model_dir))} at {url}/v1/models/{name}"
        ),
    )
