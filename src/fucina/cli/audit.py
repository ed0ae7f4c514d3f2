"""fucina audit RECIPE: look at the rows before training."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table
    from rich.text import Text

    from fucina.data import Quality
    from fucina.prepare import PhaseProgress
    from fucina.records import Finding

__all__ = ["command"]

LACKING = 3  # labels named in a phase; --json has them all
COLORS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def command(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="section.key=value, wins over the recipe.")
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(help="Write repaired copies of the files into this new folder."),
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="How many rows to show of each finding.")] = 3,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on an error.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Look for what spoils a training: leaks, wrong labels, cut answers, broken text."""
    from dataclasses import asdict

    from fucina import data, prepare, reading
    from fucina.cli.screen import console, print_json, reporting
    from fucina.recipe import load
    from fucina.repaired import write_repaired

    settings, mapped = load(recipe, list(overrides or []))
    with reporting(quiet=as_json) as (progress, say):
        for sentence in mapped:
            say(sentence)
        subject, findings = reading.audit(settings, recipe.resolve().parent, progress=progress)
        written = (
            None if fix is None else write_repaired(subject, findings, fix, recipe=str(recipe))
        )
    counts = {side.name: len(side) for side in subject.sides}
    judged = [data.quality(side, findings) for side in subject.sides]
    phases = prepare.phase_progress(
        subject.train.targets, settings.phases, labelled=subject.answer == "label"
    )
    if as_json:
        print_json(
            {
                "rows": counts,
                "findings": [asdict(finding) for finding in findings],
                "quality": [asdict(found) for found in judged],
                "phases": [asdict(phase) for phase in phases],
                "fix": written,
            }
        )
    else:
        _show(findings, shown=rows)
        if phases:
            console.print(_phase_table(phases, labelled=subject.answer == "label"))
            console.print()
        sides = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        for found in judged:
            _show_quality(found, shown=rows)
        levels: list[str] = [f.severity for f in findings]
        told = ", ".join(f"{levels.count(level)} {level}(s)" for level in COLORS)
        console.print(f"{told} in {sides} rows.")
        if written is not None:
            for file in written["files"]:
                console.print(
                    f"{file['written']}: {file['rows']:,} of {file['read_rows']:,} rows, "
                    f"{len(file['dropped'])} dropped, {len(file['rewritten'])} rewritten"
                    + _left_out(file["turns_left_out"]),
                    markup=False,
                    soft_wrap=True,
                )
            console.print(f"next: {written['next']}", markup=False, soft_wrap=True)
    if strict and any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def _show(findings: "Sequence[Finding]", *, shown: int) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from fucina.cli.screen import console

    for finding in findings:
        head = Text.assemble((finding.severity, COLORS[finding.severity]), f"  {finding.check}")
        if finding.repairs:
            head.append("  (--fix mends it)", "dim")
        console.print(head)
        console.print(Padding(Text(finding.message), (0, 0, 0, 2)))
        if finding.fix:
            console.print(Padding(Text(f"Fix: {finding.fix}"), (0, 0, 0, 2)))
        pairs = list(zip(finding.rows, finding.evidence, strict=False))[:shown]
        for origin, evidence in pairs:
            if finding.check == "rendering":
                console.print(Padding(Text(origin, "dim"), (0, 0, 0, 4)))
                console.print(Padding(_rendered(evidence), (0, 0, 1, 6)))
                continue
            line = Text(f"{origin}  {' '.join(evidence.split())}", "dim")
            line.truncate(console.width - 4, overflow="ellipsis")
            console.print(Padding(line, (0, 0, 0, 4)))
        console.print()


def _show_quality(found: "Quality", *, shown: int) -> None:
    from rich.text import Text

    from fucina.cli.screen import console

    clean = found.rows - len(found.review)
    console.print(
        f"quality of {found.name}: {found.share:.1%}, {clean:,} of {found.rows:,} rows that no "
        "error and no warning names"
    )
    for origin in list(found.review)[:shown]:
        console.print(Text(f"    {origin}  {', '.join(found.review[origin])}", "dim"))


def _left_out(turns: "Mapping[str, Sequence[object]]") -> str:
    return f", turns after the last answer left out of {len(turns):,}" if turns else ""


def _rendered(marked: str) -> "Text":
    """A row as the model reads it: line ends are shown, and what is learnt is green."""
    from rich.text import Text

    text = Text()
    for part in re.split("(‹[^›]*›)", marked):
        learnt = part.startswith("‹")
        for place, line in enumerate(part.split("\n")):
            if place:
                text.append("↵\n", "dim")
            text.append(line, "green" if learnt else "")
    return text


def _phase_table(phases: "Sequence[PhaseProgress]", *, labelled: bool) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Phases of the data set", title_justify="left", box=None, pad_edge=False)
    table.add_column("phase", overflow="fold", max_width=24)
    for name in ("target", "have", "missing"):
        table.add_column(name, justify="right")
    table.add_column("labels that lack most" if labelled else "", overflow="fold")
    for phase in phases:
        most = [f"{label} {count:,}" for label, count in phase.lacking.items()]
        more = f" and {len(most) - LACKING} more" if len(most) > LACKING else ""
        told = ", ".join(most[:LACKING]) + more if phase.missing else "done"
        table.add_row(
            Text.assemble(phase.name, (f"\n{phase.note}" if phase.note else "", "dim")),
            f"{phase.target:,}",
            f"{phase.have:,}",
            f"{phase.missing:,}",
            Text(told),
        )
    return table
