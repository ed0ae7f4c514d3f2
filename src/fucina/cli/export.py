"""fucina export: a trained model for others to load, or a training for another tool."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fucina.exporting import Exported
    from fucina.shipping import Shipped

__all__ = ["command"]


def command(
    recipe: Annotated[Path, typer.Argument(help="A run folder; for another tool, or a recipe.")],
    to: Annotated[
        str,
        typer.Option(
            help="adapter, merged, gguf, ollama or onnx: the model of a run; axolotl, llamafactory "
            "or unsloth: the same training."
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="Of a model: members=, precision=, kind=, adapter=, int8=, cases=; for a tool "
            "section.key=value, which wins over the recipe."
        ),
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
    """Write a trained model for other programs, with proof; or a recipe for another tool."""
    from dataclasses import asdict

    from fucina import export
    from fucina.cli.screen import print_json
    from fucina.errors import RecipeError, nearest
    from fucina.exporting import export_recipe
    from fucina.shipping import TARGETS

    if to not in (known := (*TARGETS, *export.names())):
        raise RecipeError(f"no target {to!r}.", fix=f"Set --to: {nearest(to, known)}")
    if to in TARGETS and as_text:
        raise RecipeError(
            f"--as-text is for the recipes of other tools, not for {to}.", fix="Leave it out."
        )
    if to in TARGETS:
        _ship(recipe, to, output, overrides or [], as_json=as_json)
        return
    found = export_recipe(recipe, to, output, overrides=overrides or (), as_text=as_text)
    if as_json:
        print_json(asdict(found))
    else:
        _show(found)


def _ship(run: Path, to: str, output: Path | None, words: list[str], *, as_json: bool) -> None:
    from dataclasses import asdict

    from fucina.cli.screen import print_json, reporting
    from fucina.config import ShipConfig
    from fucina.settings_file import of_words
    from fucina.shipping import require_used, ship

    config = of_words(ShipConfig, words, "export")
    require_used(to, config.model_fields_set)
    with reporting(quiet=as_json) as (progress, say):
        shipped = ship(run, to, output, config=config, progress=progress, say=say)
    if as_json:
        print_json(asdict(shipped))
    else:
        _show_proof(shipped)


def _show_proof(shipped: "Shipped") -> None:
    from rich.table import Table

    from fucina.cli.screen import console

    table = Table(box=None, pad_edge=False)
    for name, justify in (("proved", "left"), ("by", "left"), ("rows", "right"),
                          ("value", "right"), ("held to", "right")):  # fmt: skip
        table.add_column(name, justify=justify)
    for check in shipped.proof.checks:
        limit = "told" if check.limit is None else f"{check.limit:.4g}"
        table.add_row(check.name, check.engine, str(check.cases), f"{check.value:.4g}", limit)
    console.print(f"{shipped.folder}: {', '.join(shipped.files)}", markup=False, soft_wrap=True)
    console.print(table)
    for check in shipped.proof.checks:
        if check.note:
            console.print(f"{check.name}, {check.engine}: {check.note}", markup=False)
    console.print(f"\nnext: {shipped.next}", markup=False, soft_wrap=True)


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
