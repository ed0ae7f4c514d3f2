"""fucina plan RECIPE: time, memory, disk and cost, before the run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from fucina.plan import Estimate, Shapes
    from fucina.planning import Option, Plan
    from fucina.records import Answer

__all__ = ["command"]


def command(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="section.key=value, wins over the recipe.")
    ] = None,
    probe: Annotated[
        bool, typer.Option(help="Correct the formula by a small real run, 20 s at most.")
    ] = True,
    price: Annotated[
        float | None, typer.Option(min=0, help="USD an hour, instead of example prices.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say what a training takes: time, memory, disk, tokens and cost."""
    from fucina import planning, run
    from fucina.cli.screen import print_json, reporting
    from fucina.recipe import load

    _, mapped = load(recipe, list(overrides or []))
    with reporting(quiet=as_json) as (progress, say):
        for sentence in mapped:
            say(sentence)
        found = planning.plan_recipe(
            recipe,
            list(overrides or []),
            with_probe=probe,
            price=price,
            progress=progress,
            laps=run.Laps.of_process(),
        )
    if as_json:
        print_json(_facts(found))
    else:
        _show(found)


def _show(found: "Plan") -> None:
    from fucina.cli.screen import console

    _banner(found)
    console.print()
    console.print(_option_table(found))
    console.print()
    for option in found.options:
        if option.changed is None or option.change:
            console.print(f"{option.name}: {_advice(option.changed, option.change)}", markup=False)
        if option.checkpointing and option.changed:
            console.print(f"{option.name}: its layers are computed twice, for memory", markup=False)
    console.print(_elsewhere_table(found))
    console.print()
    for note in found.notes:
        console.print(note, markup=False)
    if found.past_error is not None:
        runs = f"{found.past_runs} run{'s' if found.past_runs > 1 else ''}"
        console.print(f"Past estimates were off by a median of {found.past_error:.0%} over {runs}.")
    console.print(
        "Other machines: peak figures of the vendors, ASSUMED efficiency, example prices\n"
        "(change them with --price).",
        markup=False,
    )


def _banner(found: "Plan") -> None:
    """The real counts."""
    from fucina.cli.screen import console

    work = found.options[0].work
    shapes = work.shapes
    console.print(
        f"{_counts(shapes, found.answer)}\n"
        f"{shapes.tokens:,} tokens an epoch, {shapes.tokens * work.epochs:,} in "
        f"{work.epochs} epoch(s) of {shapes.steps:,} steps\n"
        f"{work.trainable:,} trained parameters, {work.network.parameters:,} in the base; "
        f"{found.base} in {found.precision}",
        markup=False,
    )
    if shapes.truncated:
        what = "texts" if shapes.labels else "conversations"
        console.print(f"{shapes.truncated:.1%} of the {what} are cut at the limit of tokens.")


def _counts(shapes: "Shapes", answer: "Answer") -> str:
    """What the rows are, and what of them is learnt."""
    members = f"{shapes.members} member(s)"
    if shapes.labels:
        rows = f"{shapes.rows:,} rows and {shapes.test_rows:,} test rows"
        return f"{rows}, {shapes.labels} {'tags' if answer == 'spans' else 'labels'}, {members}"
    texts = shapes.texts
    shared = f", {texts.prefix:,} shared by all and run once a step" if texts.prefix else ""
    return (
        f"{shapes.rows:,} rows and {shapes.test_rows:,} test rows, {members}\n"
        f"{texts.learnt:,} learnt tokens an epoch{shared}"
    )


def _option_table(found: "Plan") -> "Table":
    from rich.table import Table

    table = Table(
        title=f"On this machine ({_size(found.free_mib)} free)",
        title_justify="left", box=None, pad_edge=False,
    )  # fmt: skip
    table.add_column("recipe", no_wrap=True)
    for name in ("tokens", "training", "judging", "total", "memory", "disk", "export", "cost"):
        table.add_column(name, justify="right", no_wrap=True)
    for option in found.options:
        estimate = option.estimate
        table.add_row(
            option.name,
            _count(option.work.shapes.tokens * option.work.epochs),
            _time(estimate.training_s),
            _time(estimate.total_s - estimate.training_s),
            _time(estimate.total_s),
            _size(estimate.peak_mib),
            _size(estimate.disk_mib),
            _size(estimate.export_mib),
            _money(estimate.cost),
        )
    return table


def _elsewhere_table(found: "Plan") -> "Table":
    from rich.table import Table

    table = Table(
        title="The recipe on other machines, by formula alone",
        title_justify="left", box=None, pad_edge=False,
    )  # fmt: skip
    table.add_column("machine")
    for name in ("total", "memory", "of", "cost"):
        table.add_column(name, justify="right")
    table.add_column("fits", overflow="fold")
    for other in found.elsewhere:
        estimate = other.estimate
        table.add_row(
            estimate.machine,
            _time(estimate.total_s),
            _size(estimate.peak_mib),
            _size(other.memory_mib),
            _money(estimate.cost),
            "yes" if other.changed and not other.change else _advice(other.changed, other.change),
        )
    return table


def _advice(changed: "Estimate | None", change: tuple[str, ...]) -> str:
    """What makes a recipe fit, and its price."""
    if changed is None:
        return "does not fit: choose a smaller model.base"
    return f"fits with {' '.join(change)} ({_size(changed.peak_mib)}, {_time(changed.total_s)})"


def _time(seconds: float) -> str:
    """Two units at most, short enough for a table.

    Example:
        >>> _time(8.4), _time(95), _time(7300)
        ('8 s', '1m35s', '2h01m')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"


def _size(mib: float) -> str:
    return f"{mib:.0f} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"


def _count(number: int) -> str:
    if number < 10_000:
        return f"{number:,}"
    return f"{number / 1e3:.0f}k" if number < 1e6 else f"{number / 1e6:.1f}M"


def _money(dollars: float) -> str:
    if not dollars:
        return "-"
    return f"${dollars:.2f}" if dollars >= 0.01 else "<1¢"


def _facts(found: "Plan") -> dict[str, Any]:
    """All numbers as JSON can hold them."""
    from dataclasses import asdict

    return {
        "base": found.base,
        "precision": found.precision,
        "free_mib": found.free_mib,
        "options": [_option_facts(option) for option in found.options],
        "elsewhere": [
            {
                **asdict(other.estimate),
                "total_s": other.estimate.total_s,
                "peak_mib": other.estimate.peak_mib,
                "memory_mib": other.memory_mib,
                **_change_facts(other.change, other.changed),
            }
            for other in found.elsewhere
        ],
        "notes": found.notes,
        "past_error": found.past_error,
        "past_runs": found.past_runs,
    }


def _option_facts(option: "Option") -> dict[str, Any]:
    from dataclasses import asdict

    work, estimate = option.work, option.estimate
    shapes = work.shapes
    return {
        "name": option.name,
        "rows": shapes.rows,
        "test_rows": shapes.test_rows,
        "labels": shapes.labels,
        "members": shapes.members,
        "epochs": work.epochs,
        "steps_an_epoch": shapes.steps,
        "tokens_an_epoch": shapes.tokens,
        "tokens": shapes.tokens * work.epochs,
        "learnt_tokens_an_epoch": shapes.texts.learnt,
        "shared_tokens": shapes.texts.prefix,
        "trainable": work.trainable,
        "parameters": work.network.parameters,
        "flops": {name: stage.flops for name, stage in work.stages.items()},
        **asdict(estimate),
        "training_s": estimate.training_s,
        "total_s": estimate.total_s,
        "peak_mib": estimate.peak_mib,
        "disk_mib": estimate.disk_mib,
        "export_mib": estimate.export_mib,
        "checkpointing": option.checkpointing,
        **_change_facts(option.change, option.changed),
    }


def _change_facts(change: tuple[str, ...], changed: "Estimate | None") -> dict[str, Any]:
    """What makes it fit, and what it takes then."""
    return {
        "change": change,
        "fits": changed is not None,
        "changed_peak_mib": changed and changed.peak_mib,
        "changed_total_s": changed and changed.total_s,
    }
