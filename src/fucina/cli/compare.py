"""fucina compare RUN RUN: is the difference beyond chance?"""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    runs: Annotated[
        list[Path], typer.Argument(help="Two run folders or more; the first is the base.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compare runs on the test rows they share, with a paired test."""
    from dataclasses import asdict

    from rich.table import Table

    from fucina import using
    from fucina.cli.screen import console, print_json
    from fucina.config import metric_name
    from fucina.errors import RunError
    from fucina.run import find

    if len(runs) < 2:
        raise RunError("one run cannot be compared.", fix="Give two run folders or more.")
    folders = [find(run) for run in runs]
    found = [using.compare(folders[0], other) for other in folders[1:]]
    if as_json:
        print_json([asdict(comparison) for comparison in found])
        return
    for comparison in found:
        title = f"{comparison.second} against {comparison.first}"
        console.print(title, style="italic", markup=False, soft_wrap=True)
        table = Table(box=None, pad_edge=False)
        table.add_column("metric")
        table.add_column("difference", justify="right")
        table.add_column("interval", justify="right")
        for name, gain in comparison.differences.items():
            table.add_row(
                metric_name(name),
                f"{gain.value:+.3f}",
                f"{gain.low:+.3f} to {gain.high:+.3f}",
            )
        console.print(table)
        console.print(comparison.verdict, markup=False, soft_wrap=True)
        console.print(
            f"{comparison.test} p = {comparison.p_value:.3g}, {comparison.details['rows']} rows\n"
        )
