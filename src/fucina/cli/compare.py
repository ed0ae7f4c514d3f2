"""fucina compare RUN RUN…: what changed between two runs, or who of many is best."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fucina.records import Change, Leaderboard

__all__ = ["command"]

FORMATS = {".md": "markdown", ".csv": "csv", ".html": "html", ".json": "json"}


def command(
    runs: Annotated[list[Path], typer.Argument(help="Two run folders or more.")],
    form: Annotated[
        str,
        typer.Option("--format", help="Leaderboard as markdown, csv, html or json."),
    ] = "",
    output: Annotated[
        Path | None, typer.Option(help="Write the leaderboard there; its suffix is the format.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compare two runs in detail, or rank several by task."""
    from dataclasses import asdict

    from fucina import comparing
    from fucina.cli.screen import print_json
    from fucina.errors import RunError

    if len(runs) < 2:
        raise RunError("one run cannot be compared.", fix="Give two run folders or more.")
    chosen = _form(form, output)
    if not chosen and len(runs) == 2 and comparing.same_job(runs[0], runs[1]):
        found = comparing.change(runs[0], runs[1])
        if as_json:
            relative = {name: found.relative(name) for name in found.before}
            print_json({**asdict(found), "relative": relative})
        else:
            _show_change(found)
        return
    board = comparing.leaderboard(runs)
    if as_json and not chosen:
        print_json(asdict(board))
    elif not chosen:
        _show(board)
    else:
        _write(board, chosen, output)


def _form(form: str, output: Path | None) -> str:
    """The format that was asked for, by its name or by a suffix; empty for the screen."""
    from fucina.errors import RunError, nearest

    if form and form not in FORMATS.values():
        raise RunError(
            f"no format {form!r}.", fix=f"Set --format: {nearest(form, FORMATS.values())}"
        )
    if output is None or form:
        return form
    if output.suffix not in FORMATS:
        raise RunError(
            f"{output} says no format.", fix=f"End it in {', '.join(FORMATS)}, or set --format."
        )
    return FORMATS[output.suffix]


def _write(board: "Leaderboard", form: str, output: Path | None) -> None:
    import json
    from dataclasses import asdict

    from fucina import evaluate, run

    text = {
        "markdown": lambda: evaluate.as_markdown(board),
        "csv": lambda: evaluate.as_table(board),
        "html": lambda: evaluate.as_html(board),
        "json": lambda: json.dumps(asdict(board), ensure_ascii=False, indent=2) + "\n",
    }[form]()
    if output is None:
        typer.echo(text, nl=False)
    else:
        run.write_text(output, text)
        typer.echo(str(output))


def _show(board: "Leaderboard") -> None:
    from rich.table import Table

    from fucina.cli.screen import console, interval
    from fucina.config import metric_name

    for contest in board.contests:
        title = f"{contest.task}, {contest.rows} test rows ({contest.test})"
        console.print(title, style="italic", markup=False)
        table = Table(box=None, pad_edge=False)
        table.add_column("run", overflow="fold")
        table.add_column(metric_name(contest.metric).partition(" (")[0], justify="right")
        for name in ("p", "ms", "s", "MiB"):
            table.add_column(name, justify="right")
        for standing in contest.standings:
            p, cost = standing.p_value, standing.cost
            table.add_row(
                standing.run,
                interval(standing.score),
                "" if p is None else f"{p:.3f}" if p >= 0.001 else "<0.001",
                *(
                    f"{cost[name]:.1f}" if name in cost else ""
                    for name in ("latency_p50_ms", "training_s", "adapter_mib")
                ),
            )
        console.print(table)
        console.print(f"{contest.verdict}\n", markup=False, soft_wrap=True)
    console.print(
        "p: paired test against the best. ms an answer, s of training, MiB of the adapter. "
        "All of it: --output board.html"
    )


def _show_change(found: "Change") -> None:
    from fucina.cli.screen import change_table, console

    comparison = found.comparison
    title = f"{comparison.second} against {comparison.first}"
    console.print(title, style="italic", markup=False, soft_wrap=True)
    console.print(change_table(found))
    console.print(comparison.verdict, markup=False, soft_wrap=True)
    console.print(
        f"{comparison.test} p = {comparison.p_value:.3g}, {comparison.details['rows']} rows"
    )
    settings = {"training rows": found.rows} if found.rows[0] != found.rows[1] else {}
    console.print(
        "\nSettings that differ" if settings or found.settings else "\nNo setting differs"
    )
    for name, (before, after) in {**settings, **found.settings}.items():
        console.print(f"  {name}: {before} → {after}", markup=False)
