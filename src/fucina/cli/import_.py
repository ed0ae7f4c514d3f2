"""fucina import CONFIG: a recipe of another tool's configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fucina.importing import Imported

__all__ = ["command"]


def command(
    config: Annotated[Path, typer.Argument(help="A YAML file of Axolotl or LLaMA-Factory.")],
    output: Annotated[
        Path | None, typer.Option(help="The recipe; else recipe.yaml beside the file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a recipe that says what another tool's configuration says."""
    from dataclasses import asdict

    from fucina.cli.screen import print_json
    from fucina.importing import import_config

    found = import_config(config, output)
    if as_json:
        print_json(asdict(found))
    else:
        _show(found)


def _show(found: "Imported") -> None:
    from rich.table import Table

    from fucina.cli.screen import console

    table = Table(box=None, pad_edge=False, title_justify="left")
    table.add_column(found.title, overflow="fold")
    table.add_column("recipe", overflow="fold")
    for key, settings in found.mapped.items():
        table.add_row(key, _told(settings))
    for key, settings in found.assumed.items():
        table.add_row(f"{key} (its default)", _told(settings), style="dim")
    console.print(table)
    left = [f"{key}: {why}" for key, why in found.left.items()]
    for title, sentences in (("Guessed", found.guessed), ("Left out", left)):
        if sentences:
            console.print(f"\n{title}")
            for sentence in sentences:
                console.print(f"  {sentence}", markup=False)
    console.print(f"\nnext: fucina audit {found.recipe}", markup=False, soft_wrap=True)


def _told(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{setting}={value}" for setting, value in settings.items())
