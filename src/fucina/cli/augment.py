"""fucina augment RECIPE: variations of base cases."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from fucina.prepare import Augmentation, Growth

__all__ = ["command"]

ALL = "train"  # what all rows are called where they answer with text
KINDS = {"label": "label", "text": "answer", "spans": "type"}


def command(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="section.key=value, wins over the recipe.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="New file for train and variations; else NAME.augmented.jsonl."),
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="How many variations to show.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Vary base cases by slots, and write them beside the rows of train."""
    from fucina import tasks
    from fucina.augmented import augment
    from fucina.cli.screen import console, print_json, reporting
    from fucina.data.audit.subject import brief
    from fucina.recipe import load
    from fucina.training_file import next_command

    settings, mapped = load(recipe, list(overrides or []))
    root = recipe.resolve().parent
    path = out or recipe.parent / f"{settings.name}.augmented.jsonl"
    with reporting(quiet=as_json) as (progress, say):
        for sentence in mapped:
            say(sentence)
        found = augment(settings, root, path, progress=progress, say=say)
    following = next_command(settings, recipe, path, overrides or [])
    if as_json:
        print_json(_facts(found, path, following))
        return
    kind = KINDS[tasks.get(settings.task).answer]
    added = found.rows.examples[len(found.rows) - found.added :]
    for example in added[:: max(1, len(added) // max(1, rows))][:rows]:
        told = f"{example.target}: {example.prompt}"
        if kind != "label":
            told = f"{brief(example.prompt)} → {brief(example.target)}"
        console.print(told, markup=False, style="dim")
    console.print()
    console.print(_table(found, kind if found.labelled else ""))
    console.print()
    for sentence in [*_left_out(found, kind), *(_advice(g) for g in found.growth if g.lacks)]:
        console.print(sentence, markup=False)
    console.print(f"{path}: {len(found.rows):,} rows", markup=False, soft_wrap=True)
    console.print(f"next: {following}", markup=False, soft_wrap=True)


def _facts(found: "Augmentation", path: Path, following: str) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "written": str(path.resolve()),
        "rows": len(found.rows),
        "labels": [
            {**asdict(g), "after": g.before + g.added, "lacks": g.lacks} for g in found.growth
        ],
        "held_out": dict(found.held_out),
        "contradicting": list(found.contradicting),
        "next": following,
    }


def _table(found: "Augmentation", kind: str) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Rows of train", title_justify="left", box=None, pad_edge=False)
    table.add_column(kind, overflow="fold")
    for name in ("before", "added", "after", "target"):
        table.add_column(name, justify="right")
    for g in found.growth:
        target = "all" if g.target is None else f"{g.target:,}"
        table.add_row(
            Text(g.label or ALL), f"{g.before:,}", f"{g.added:,}", f"{g.before + g.added:,}", target
        )
    return table


def _left_out(found: "Augmentation", kind: str) -> list[str]:
    from fucina.data.audit.subject import brief, shown

    told = []
    if found.held_out:
        pairs = [f"{brief(what)} ~ {origin}" for what, origin in found.held_out.items()]
        told.append(
            f"{len(pairs)} left out that say, or can say, nearly the same as a held-out row: "
            f"{shown(pairs, '; ')}."
        )
    if found.contradicting:
        told.append(
            f"{len(found.contradicting)} left out that are there with another {kind}: "
            f"{shown([brief(text) for text in found.contradicting], '; ')}."
        )
    return told


def _advice(growth: "Growth") -> str:
    """How a label that lacks rows can get them."""
    from fucina.prepare.augment import NONE

    if growth.capped:
        how = "raise augment.max_per_case"
    elif growth.slots:
        how = f"add values to the slots {', '.join(growth.slots[:3])}, or write more cases"
    elif growth.label == NONE:
        how = "write cases in which nothing is marked"
    else:
        how = "write cases with slots for it"
    return f"{growth.label or ALL} lacks {growth.lacks:,} rows: {how}."
