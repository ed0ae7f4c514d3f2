"""fucina export RECIPE --to TOOL: the same training, as another tool is told it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fucina.exporting import Exported

__all__ = ["command"]


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe, or a run folder.")],
    to: Annotated[str, typer.Option(help="axolotl, llamafactory or unsloth.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="section.key=value, wins over the recipe.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="New folder, or the file to start the tool with; else NAME-TOOL."),
    ] = None,
    as_text: Annotated[
        bool, typer.Option("--as-text", help="Let the model write labels as text.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a recipe and its rows as another tool reads them."""
    from dataclasses import asdict

    from fucina.cli.screen import print_json
    from fucina.exporting import export_recipe

    found = export_recipe(recipe, to, output, overrides=overrides or (), as_text=as_text)
    if as_json:
        print_json(asdict(found))
    else:
        _show(found)


def _show(found: "Exported") -> None:
    from fucina.cli.screen import console

    counts = ", ".join(f"{side} {count:,}" for side, count in found.rows.items())
    console.print(f"{found.folder}: {', '.join(found.files)}", markup=False, soft_wrap=True)
    console.print(f"rows: {counts}", markup=False)
    if found.lost:
        console.print(f"\nWithout equivalent in {found.title}:")
        for sentence in found.lost:
            console.print(f"  {sentence}", markup=False)
    console.print(f"\nnext: cd {found.folder} && {found.command}", markup=False, soft_wrap=True)
