"""fucina diagnose RUN: why is it not better, and what next."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fucina.mending import Mended
    from fucina.records import Cause, Diagnosis, Slice

__all__ = ["command"]

COLORS = {"high": "bold red", "medium": "yellow", "low": "cyan"}
WEAK_SHOWN = 6


def command(
    run: Annotated[Path, typer.Argument(help="A run folder, or the folder of a recipe's name.")],
    test_cause: Annotated[
        bool, typer.Option("--test-cause", help="Train once without the first cause, and compare.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the improved recipe, train it, and compare.")
    ] = False,
    errors: Annotated[int, typer.Option(min=0, help="How many wrong answers to show.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Name the root causes of a weak model, with evidence, fix and gain."""
    from dataclasses import asdict

    from fucina import diagnosing, mending
    from fucina.cli.screen import print_json, reporting

    with reporting(quiet=as_json) as (progress, _):
        found = diagnosing.diagnose_run(run, progress=progress)
    if not as_json:
        _show(found, errors=errors)
    with reporting(quiet=as_json) as (progress, _):
        tested = (
            mending.try_without(run, found.causes[0], progress=progress)
            if test_cause and found.causes
            else None
        )
        mended = mending.apply(run, found.causes, progress=progress) if apply else None
    if as_json:
        print_json(
            {
                **asdict(found),
                "causes": [{**asdict(c), "severity": c.severity} for c in found.causes],
                "test_cause": _facts(tested),
                "apply": _facts(mended),
            }
        )
        return
    if test_cause and found.causes:
        _tell_test(found.causes[0], tested)
    if mended is not None:
        _tell_mended(mended)


def _facts(mended: "Mended | None") -> dict[str, Any] | None:
    from dataclasses import asdict

    if mended is None:
        return None
    return {
        "run": mended.folder,
        "recipe": mended.recipe,
        "changes": dict(mended.changes),
        "repaired_rows": mended.repaired,
        "comparison": asdict(mended.comparison),
    }


def _show(found: "Diagnosis", *, errors: int) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from fucina.cli.screen import console

    console.print(found.symptom, markup=False)
    console.print()
    if not found.causes:
        console.print("No cause stands out: more and better rows are what is left.\n")
    for number, cause in enumerate(found.causes, 1):
        head = Text.assemble(
            f"{number}. ", (cause.severity, COLORS[cause.severity]), f"  {cause.name}"
        )
        console.print(head)
        console.print(Padding(Text(cause.message), (0, 0, 0, 3)))
        for line in cause.evidence[:3]:
            shown = Text(" ".join(line.split()), "dim")
            console.print(Padding(shown, (0, 0, 0, 5)))
        console.print(Padding(Text(f"Fix: {cause.fix}"), (0, 0, 0, 3)))
        console.print(Padding(Text(f"Gain: {cause.gain}"), (0, 0, 0, 3)))
        console.print()
    weak = [part for part in found.slices if part.weak][:WEAK_SHOWN]
    if weak:
        console.print("Weak slices of the test rows")
        for part in weak:
            console.print(
                f"  {part.kind} {part.name}: {_scored(part)} of {part.rows}",
                markup=False,
            )
        console.print()
    for error in found.errors[:errors]:
        console.print(
            Text(f"✗ {error.prompt}\n  {error.target}, answered {error.answer} "
                 f"({error.confidence:.0%}); training rows most like it:")
        )  # fmt: skip
        for likeness, label, text in error.neighbors:
            line = Text(f"    {likeness:.2f} {label}: {text}", "dim")
            line.truncate(console.width - 1, overflow="ellipsis")
            console.print(line)
    if found.must_fix:
        wrong = [case for case in found.must_fix if not case["right"]]
        console.print(
            f"\nMust-fix cases: {len(found.must_fix) - len(wrong)} of {len(found.must_fix)} right"
        )
        for case in wrong:
            console.print(
                f"  ✗ {case['prompt']}: {case['target']}, answered {case['answer']} "
                f"({case['confidence']:.0%})",
                markup=False,
            )


def _scored(part: "Slice") -> str:
    score = part.score
    if part.metric == "accuracy":
        return f"{score.value:.0%} [{score.low:.0%}, {score.high:.0%}]"
    return f"{score.value:.2f} nats a token [{score.low:.2f}, {score.high:.2f}]"


def _tell_test(cause: "Cause", tested: "Mended | None") -> None:
    from fucina.cli.screen import console

    console.print()
    if tested is None:
        console.print(f"No training can test {cause.name}: the fix is in rows that are not there.")
        return
    gain = tested.comparison.differences["accuracy"]
    if cause.name == "too_few_examples":
        moved = "fewer rows are worse, so rows are what it lacks" if gain.high < 0 else (
            "half of the rows do about as well: rows are not what it lacks"
        )  # fmt: skip
        console.print(
            f"Counterfactual: with half of the rows, accuracy {gain.value:+.1%} "
            f"[{gain.low:+.1%}, {gain.high:+.1%}]; {moved}.",
            markup=False,
        )
        return
    moved = "the symptom moved" if gain.low > 0 else (
        "the score fell, as it should when it was too good" if gain.high < 0
        else "the symptom did not move beyond chance"
    )  # fmt: skip
    console.print(
        f"Counterfactual without {cause.name}: accuracy {gain.value:+.1%} "
        f"[{gain.low:+.1%}, {gain.high:+.1%}], McNemar p "
        f"{tested.comparison.p_value:.3g}; {moved}.",
        markup=False,
    )


def _tell_mended(mended: "Mended") -> None:
    from rich.table import Table

    from fucina.cli.screen import console
    from fucina.config import METRIC_NAMES

    table = Table(title="\nBefore and after", title_justify="left", box=None, pad_edge=False)
    table.add_column("metric")
    table.add_column("change", justify="right")
    table.add_column("interval", justify="right")
    for name, gain in mended.comparison.differences.items():
        table.add_row(
            METRIC_NAMES[name], f"{gain.value:+.3f}", f"{gain.low:+.3f} to {gain.high:+.3f}"
        )
    console.print(table)
    for key, value in mended.changes.items():
        console.print(f"  {key}={value}", markup=False)
    if mended.repaired:
        console.print(f"  {mended.repaired} training rows left out or rewritten")
    console.print(
        f"{mended.comparison.verdict} (McNemar p = {mended.comparison.p_value:.3g})\n"
        f"recipe  {mended.recipe}\nrun     {mended.folder}",
        markup=False,
        soft_wrap=True,
    )
