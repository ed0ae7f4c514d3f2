"""fucina advise RECIPE: prompt, retrieval or fine-tuning, measured on the same rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from fucina.records import Advice

__all__ = ["command"]


def command(
    recipe: Annotated[Path, typer.Argument(help="The recipe, with a section advise.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings that win over the recipe, such as advise.cost.queries_per_month=50000.",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="A run of this recipe; else the newest one, else it is trained now."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 when the chosen way misses a goal.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Try prompt, retrieval and fine-tuning on the test rows, and say which is worth it."""
    import os
    from dataclasses import asdict

    from fucina.advising import advise_recipe
    from fucina.cli.screen import print_json, reporting
    from fucina.recipe import load

    settings, mapped = load(recipe, overrides or ())
    with reporting(quiet=as_json) as (progress, say):
        for sentence in mapped:
            say(sentence)
        found = advise_recipe(
            settings, recipe.resolve().parent, trained_run=run, keys=os.environ,
            progress=progress, say=say,
        )  # fmt: skip
    if as_json:
        print_json(asdict(found))
    else:
        _show(found)
    if strict and found.missed:
        raise typer.Exit(1)


def _show(found: "Advice") -> None:
    from fucina.cli.screen import console

    console.print(_quality(found))
    if found.arms[0].parts:
        console.print()
        console.print(_parts(found))
    console.print()
    console.print(_costs(found))
    for sentence in found.assumed:
        console.print(sentence, markup=False, style="dim")
    for pair, volume in found.break_even.items():
        even = "never" if volume is None else f"from {volume:,.0f} queries a month on"
        console.print(f"{pair}: the second is cheaper {even}", markup=False)
    for arm in found.arms:
        for note in arm.notes:
            console.print(f"{arm.name}: {note}", markup=False, style="dim")
    for name, why in found.left_out.items():
        console.print(f"left out, {name}: {why}", markup=False, style="yellow")
    if found.matrix:
        console.print()
        console.print(_matrix(found))
    console.print()
    console.print(_triggers(found))
    _goals(found)
    console.print()
    console.print(f"Recommended: {found.chosen}", style="bold", markup=False)
    for sentence in found.reason:
        console.print(sentence, markup=False)
    console.print(f"{found.folder}/advice.html", markup=False, soft_wrap=True, style="dim")


def _table(title: str) -> "Table":
    from rich.table import Table

    return Table(title=title, title_justify="left", box=None, pad_edge=False)


def _quality(found: "Advice") -> "Table":
    from fucina.cli.screen import interval
    from fucina.config import metric_name

    table = _table(f"{found.rows} test rows, the same for every way")
    table.add_column("way")
    table.add_column("model", overflow="fold")
    table.add_column(metric_name(found.metric), justify="right")
    table.add_column("p against the chosen", justify="right")
    against = {one.first: one for one in found.against}
    for arm in found.arms:
        one = against.get(arm.name)
        p = "chosen" if one is None else f"{one.p_value:.3g}"
        table.add_row(_called(arm.way), arm.model, interval(arm.scores[found.metric]), p)
    return table


def _parts(found: "Advice") -> "Table":
    """The score that decides, of the rows about each part."""
    from fucina.config import metric_name

    table = _table(f"{metric_name(found.metric)}, by what rows are about")
    table.add_column("way", overflow="fold")
    names = list(found.arms[0].parts)
    for name in names:
        table.add_column(name, justify="right")
    for arm in found.arms:
        scores = [arm.parts[name][found.metric] for name in names]
        table.add_row(_called(arm.name), *(f"{score.value:.3f}" for score in scores))
    return table


def _called(name: str) -> str:
    return name.replace("fine_tune_retrieval", "fine_tune + retrieval")


def _costs(found: "Advice") -> "Table":
    from fucina.advise import dollars, seconds

    table = _table(f"USD, at {found.queries_per_month:,} queries a month")
    table.add_column("way", overflow="fold")
    for name in ("p50 / p95", "tokens", "MiB", "training", "a query", "a month"):
        table.add_column(name, justify="right", no_wrap=True)
    for arm in found.arms:
        table.add_row(
            _called(arm.name),
            f"{seconds(arm.latency_ms[0])} / {seconds(arm.latency_ms[1])}",
            f"{arm.read:,.0f}+{arm.written:,.0f}",
            "–" if arm.memory_mib is None else f"{arm.memory_mib:,.0f}",
            dollars(arm.cost.training),
            dollars(arm.cost.per_query),
            dollars(arm.cost.month),
        )
    return table


def _matrix(found: "Advice") -> "Table":
    table = _table("Decision matrix (advise.components)")
    for name in ("component", "tokens", "approach", "why"):
        table.add_column(name, justify="right" if name == "tokens" else "left")
    for part in found.matrix:
        table.add_row(part.name, f"{part.tokens:,}", part.approach, part.why)
    return table


def _triggers(found: "Advice") -> "Table":
    from fucina.advise import holds

    table = _table("Reasons to fine-tune")
    table.add_column("")
    table.add_column("holds", no_wrap=True)
    table.add_column("")
    for one in found.triggers:
        table.add_row(one.name, holds(one.holds), one.said)
    return table


def _goals(found: "Advice") -> None:
    from fucina.cli.screen import console

    if found.missed or found.met or found.unknown:
        console.print()
    for said in found.missed:
        console.print(f"goal missed: {said}", markup=False, style="red")
    for said in found.unknown:
        console.print(f"goal: {said}", markup=False, style="yellow")
    for said in found.met:
        console.print(f"goal reached: {said}", markup=False, style="green")
