"""fucina diagnose RUN: why is it not better, and what next."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fucina.mending import Mended
    from fucina.records import Cause, Diagnosis, Interval, Slice, WorstError

__all__ = ["command"]

COLORS = {"high": "bold red", "medium": "yellow", "low": "cyan"}
WEAK_SHOWN = 6
INDENT = "    "
TOO_GOOD = {"leakage", "answer_in_text"}  # without them a score is worse, and honest
ENDS = {"end_not_learned", "answers_cut_off"}  # seen in where answers end, not in their loss


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
        _tell_mended(run, mended, found.causes)


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

    from fucina.cli.screen import console, show_must_fix

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
                f"  {part.kind} {part.name}: {_scored(part)} of {part.rows}"
                f"{' spans' * (part.metric == 'recall')}",
                markup=False,
            )
        console.print()
    tell = _tell_text if found.answer == "text" else _tell_label
    for error in found.errors[:errors]:
        tell(error)
    if found.must_fix:
        console.print()
        show_must_fix(found.must_fix)


def _scored(part: "Slice") -> str:
    score = part.score
    if part.metric in {"accuracy", "recall"}:
        found = "found " if part.metric == "recall" else ""
        return f"{found}{score.value:.0%} [{score.low:.0%}, {score.high:.0%}]"
    return f"{score.value:.2f} nats a token [{score.low:.2f}, {score.high:.2f}]"


def _tell_label(error: "WorstError") -> None:
    from rich.text import Text

    from fucina.cli.screen import console

    console.print(
        Text(f"✗ {error.prompt}\n  {error.target}, answered {error.answer} "
             f"({error.confidence:.0%}); training rows most like it:")
    )  # fmt: skip
    for likeness, label, text in error.neighbors:
        _line(f"    {likeness:.2f} {label}: {text}", dim=True)


def _tell_text(error: "WorstError") -> None:
    _line(f"✗ {error.prompt}")
    _line(f"  true:  {error.target}", lines=2)
    _line(f"  wrote: {error.answer}", lines=2)
    _line(f"  a true token was found {error.confidence:.1%} likely; training rows most like it:")
    for likeness, answer, text in error.neighbors:
        _line(f"    {likeness:.2f} {text}", dim=True)
        _line(f"         → {answer}", dim=True)


def _line(said: str, *, lines: int = 1, dim: bool = False) -> None:
    """Print a text in so many lines at most, whatever breaks it holds."""
    from rich.text import Text

    from fucina.cli.screen import console

    lead = said[: len(said) - len(said.lstrip())]
    text = Text(lead + " ".join(said.split()), "dim" if dim else "")
    shown = text.wrap(console, console.width - 1 - len(INDENT) * (lines > 1))
    for number, part in enumerate(shown[:lines]):
        if number == lines - 1 and len(shown) > lines:
            part.rstrip()
            part.truncate(console.width - 2 - len(INDENT))
            part.append("…")
        console.print(Text(INDENT) + part if number else part)


def _tell_test(cause: "Cause", tested: "Mended | None") -> None:
    from fucina.cli.screen import console
    from fucina.config import LOW_IS_GOOD

    console.print()
    if tested is None:
        console.print(f"No training can test {cause.name}: the fix is in rows that are not there.")
        return
    name = _symptom(cause, tested)
    low_is_good = name in LOW_IS_GOOD
    gain = tested.comparison.differences[name]
    better, worse = gain.low > 0, gain.high < 0
    if low_is_good:
        better, worse = worse, better
    said = _change(name, gain)
    if cause.name == "too_few_examples":
        moved = "fewer rows are worse, so rows are what it lacks" if worse else (
            "half of the rows do about as well: rows are not what it lacks"
        )  # fmt: skip
        console.print(f"Counterfactual: with half of the rows, {said}; {moved}.", markup=False)
        return
    moved = "the symptom moved" if better else "the symptom did not move beyond chance"
    if worse:
        moved = "it is worse without, so this is not the cause"
        if cause.name in TOO_GOOD:
            moved = "the score is worse, as it should be when it was too good"
    console.print(
        f"Counterfactual without {cause.name}: {said}, {tested.comparison.test} p "
        f"{tested.comparison.p_value:.3g}; {moved}.",
        markup=False,
    )


def _symptom(cause: "Cause", tested: "Mended") -> str:
    """The score that a cause should have moved."""
    first = next(iter(tested.comparison.differences))
    if first in {"accuracy", "f1"}:
        return first
    return "ended" if cause.name in ENDS else "token_loss"


def _change(name: str, gain: "Interval") -> str:
    from fucina.config import metric_name

    if name == "token_loss":
        return f"loss {gain.value:+.3f} nats a token [{gain.low:+.3f}, {gain.high:+.3f}]"
    what = metric_name(name)
    return f"{what} {gain.value:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]"


def _tell_mended(run: Path, mended: "Mended", causes: "Sequence[Cause]") -> None:
    from fucina import comparing
    from fucina.cli.screen import change_table, console

    found = comparing.change(run, Path(mended.folder), mended.comparison)
    console.print(change_table(found, title="\nBefore and after"))
    for key, value in mended.changes.items():
        console.print(f"  {key}={value}", markup=False)
    if mended.repaired:
        console.print(f"  {mended.repaired} training rows left out or rewritten")
    if any(cause.name in TOO_GOOD and cause.repairs for cause in causes):
        console.print("  The score before counts rows that training saw; the one after does not.")
    tested = mended.comparison
    console.print(
        f"{tested.verdict} ({tested.test} p = {tested.p_value:.3g})\n"
        f"recipe  {mended.recipe}\nrun     {mended.folder}",
        markup=False,
        soft_wrap=True,
    )
