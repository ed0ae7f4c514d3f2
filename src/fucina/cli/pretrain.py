"""fucina pretrain RECIPE: make a base model of texts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fucina.pretraining import Pretrained

__all__ = ["command"]


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe of texts, a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="section.key=value, wins over the recipe.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Make a small base model of texts, from the first word."""
    from dataclasses import asdict

    from fucina.cli.screen import print_json, reporting
    from fucina.pretrain.recipe import load
    from fucina.pretraining import pretrain

    settings = load(recipe, overrides or [])
    with reporting(quiet=as_json) as (progress, say):
        made = pretrain(
            settings, recipe.resolve().parent, progress=progress, say=say, resume=resume
        )
    if as_json:
        print_json(asdict(made))
    else:
        _show(made)


def _show(made: "Pretrained") -> None:
    from rich.table import Table
    from rich.text import Text

    from fucina.cli.screen import console

    speed = made.tokens / made.seconds
    console.print(
        f"{made.parameters:,} weights, {made.tokens:,} tokens in {made.seconds / 60:.1f} minutes "
        f"({speed:,.0f} a second)"
    )
    table = Table(title="Bits a byte of held-out texts, lower is better", title_justify="left",
                  box=None, pad_edge=False)  # fmt: skip
    names = ("language", "domain", "model", "5-gram", "untrained")
    table.add_column("text")
    for name in names:
        table.add_column(name, justify="left" if name in names[:2] else "right")
    for text, facts in made.bits.items():
        told = [facts[n] if isinstance(facts[n], str) else f"{facts[n]:.3f}" for n in names]
        table.add_row(text, *told)
    console.print(table)
    for prompt, written in made.samples.items():
        console.print()
        console.print(Text(prompt, "bold") + Text(written))
    console.print(f"\nbase    {made.folder}")
