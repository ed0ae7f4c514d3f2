"""fucina synthesize RECIPE: examples written by a model, reviewed by a person."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from fucina.config import Recipe
    from fucina.synthesized import Written

__all__ = ["command"]


def command(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="section.key=value, wins over the recipe.")
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Move what waits in the review file to train.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Let a model write examples for review; it runs on from where it stopped."""
    from fucina.recipe import load

    settings, mapped = load(recipe, list(overrides or []))
    if accept:
        _accept(settings, recipe, overrides or [], as_json=as_json)
    else:
        _write(settings, recipe, mapped, as_json=as_json)


def _write(settings: "Recipe", recipe: Path, mapped: "Sequence[str]", *, as_json: bool) -> None:
    import os
    import shlex
    from dataclasses import asdict

    from fucina.cli.screen import console, print_json, reporting
    from fucina.synthesized import review_path, write_examples

    variable = settings.synthesis.key_variable if settings.synthesis else ""
    with reporting(quiet=as_json) as (progress, say):
        for sentence in mapped:
            say(sentence)
        written = write_examples(
            settings, recipe.resolve().parent, os.environ.get(variable, ""), progress=progress
        )
    path = review_path(settings, recipe.parent)
    following = f"fucina synthesize {shlex.quote(str(recipe))} --accept"
    if as_json:
        prompts = [asdict(one) for one in written]
        print_json({"review": str(path.resolve()), "prompts": prompts, "next": following})
        return
    console.print(_table(written))
    console.print()
    for number, one in enumerate(written, start=1):
        if one.problem:
            console.print(
                f"prompt {number} ({one.name}) came short: {one.problem}. Run it again to go on.",
                markup=False,
            )
    console.print(
        f"Read {path}, edit what is nearly good, set what is no good to refused.",
        markup=False,
        soft_wrap=True,
    )
    console.print(f"next: {following}", markup=False, soft_wrap=True)


def _accept(settings: "Recipe", recipe: Path, overrides: "Sequence[str]", *, as_json: bool) -> None:
    from fucina.cli.screen import console, print_json, reporting
    from fucina.synthesized import accept
    from fucina.training_file import next_command

    with reporting(quiet=as_json) as (progress, _):
        done = accept(settings, recipe.resolve().parent, progress=progress)
    following = next_command(settings, recipe, done.path, overrides)
    if as_json:
        print_json(
            {
                "written": str(done.path),
                "train": done.train,
                "accepted": done.accepted,
                "new": done.new,
                "refused": dict(done.refused),
                "next": following,
            }
        )
        return
    for text, origin in done.refused.items():
        console.print(f"refused, nearly the same as {origin}: {text}", markup=False)
    console.print(
        f"{done.path}: {done.train:,} rows of train and {done.accepted:,} accepted "
        f"({done.new:,} new)",
        markup=False,
        soft_wrap=True,
    )
    console.print(f"next: {following}", markup=False, soft_wrap=True)


def _table(written: "Sequence[Written]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Prompts", title_justify="left", box=None, pad_edge=False)
    table.add_column("prompt", overflow="fold")
    for name in ("wanted", "waiting", "accepted", "refused"):
        table.add_column(name, justify="right")
    table.add_column("refused for", overflow="fold")
    for one in written:
        reasons = ", ".join(f"{why} {count}" for why, count in one.refused.items())
        refused = sum(one.refused.values())
        table.add_row(
            Text(one.name), f"{one.wanted:,}", f"{one.waiting:,}", f"{one.accepted:,}",
            f"{refused:,}", Text(reasons),
        )  # fmt: skip
    return table
