"""fucina report RUN: write the report anew."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    run: Annotated[Path, typer.Argument(help="A run folder, or the folder of a recipe's name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write report.html anew from what the run folder holds."""
    from fucina import using
    from fucina.cli.screen import print_json
    from fucina.run import find

    path = using.report(find(run))
    if as_json:
        print_json({"report": str(path)})
    else:
        typer.echo(str(path))
