"""fucina train RECIPE: audit, split, train, judge."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fucina.records import LearningCurve, Outcome, Span, Spans, Texts

__all__ = ["command"]

SAMPLES = 3  # answers that are shown
LETTERS = 240  # of each


def command(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="section.key=value, wins over the recipe.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="fast: seconds; balanced: top layers; quality: all layers, 5 folds."),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="K models, each judged on the rows it did not see.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished run.")
    ] = False,
    learning_curve: Annotated[
        bool,
        typer.Option("--learning-curve", help="Train on growing shares: are more rows worth it?"),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 when a goal of the recipe is missed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train and judge what a recipe describes."""
    import os
    from dataclasses import asdict

    from fucina import flow, run, using
    from fucina.cli.screen import print_json, reporting
    from fucina.errors import RunError
    from fucina.evaluate import facts, missed_goals
    from fucina.recipe import load

    if learning_curve and resume:
        raise RunError(
            "a learning curve cannot go on where it stopped: its smaller trainings are not kept.",
            fix="Leave out --resume, or --learning-curve.",
        )
    extra = list(overrides or [])
    extra += [] if preset is None else [f"preset={preset}"]
    extra += [] if folds is None else [f"folds.count={folds}"]
    settings, mapped = load(recipe, extra)
    with reporting(quiet=as_json) as (progress, say):
        for sentence in mapped:
            say(sentence)
        root = recipe.resolve().parent
        curve = None
        if learning_curve:
            outcome, curve = flow.learning_curve(settings, root, progress=progress, say=say)
            using.report(Path(outcome.folder))
        else:
            outcome = flow.train(
                settings,
                root,
                progress=progress,
                say=say,
                resume=resume,
                laps=run.Laps.of_process(),
                keys=os.environ,
            )
    missed = missed_goals(outcome, settings.evaluation)
    if as_json:
        more = {} if curve is None else {"learning_curve": asdict(curve)}
        print_json({"run": outcome.folder, "missed_goals": missed, **facts(outcome), **more})
    else:
        _show(outcome, curve, missed)
    if strict and missed:
        raise typer.Exit(1)


def _show_answers(answers: "Texts | Spans") -> None:
    """A few answers as they were given, whatever they are like."""
    from rich.table import Table
    from rich.text import Text

    from fucina.cli.screen import console

    for row in _samples(answers):
        grid = Table.grid(padding=(0, 1))  # so that a long text stays in its column
        for name, said in row.items():
            grid.add_row(Text(f"{name:8}", "dim"), Text(_short(said)))
        console.print(grid)
        console.print()


def _samples(answers: "Texts | Spans") -> list[dict[str, str]]:
    """What was asked, what is true and what was answered, of the first rows."""
    from fucina.records import Texts

    if isinstance(answers, Texts):
        ends = ["" if ended else " …" for ended in answers.ended[:SAMPLES]]
        written = zip(answers.prompts, answers.targets, answers.answers, ends, strict=False)
        return [{"asked": a, "true": b, "written": c + end} for a, b, c, end in written]
    marked = zip(answers.prompts, answers.targets, answers.answers, strict=True)
    return [
        {"text": text, "true": _named(text, true), "marked": _named(text, own)}
        for text, true, own in list(marked)[:SAMPLES]
    ]


def _named(text: str, spans: "Sequence[Span]") -> str:
    return "; ".join(f"{s.label}: {text[s.start : s.end]}" for s in spans) or "(nothing)"


def _short(text: str) -> str:
    """The end of a text, where the question is."""
    said = " ".join(text.split())
    return said if len(said) <= LETTERS else f"… {said[-LETTERS:]}"


def _show_scores(outcome: "Outcome") -> None:
    """How good a model is, and beside what; of several tasks all together, then each by itself."""
    from fucina.cli.screen import (
        baseline_table,
        console,
        fold_table,
        held_table,
        per_label_table,
        score_table,
        show_traits,
        slice_tables,
    )
    from fucina.evaluate import facts, held_and_free, without_parts

    console.print(outcome.verdict, markup=False)
    console.print()
    model = without_parts(outcome.model, outcome.parts)
    console.print(score_table(model, title=f"On {model.rows} test rows"))
    show_traits(model)
    if outcome.folds:
        console.print()
        console.print(fold_table(outcome.folds))
    console.print()
    console.print(baseline_table(model, outcome.baselines, outcome.against, outcome.headline))
    if held := held_and_free(facts(outcome)):
        console.print()
        console.print(held_table(held))
    for table in slice_tables(model, outcome.headline):
        console.print()
        console.print(table)
    console.print()
    if outcome.headline == "f1" and model.per_label:
        console.print(per_label_table(model.per_label, spans=True))
        console.print()
    for name, part in outcome.parts.items():
        console.rule(name, align="left", style="dim")
        _show_scores(part)


def _show(outcome: "Outcome", curve: "LearningCurve | None", missed: "Sequence[str]") -> None:
    from fucina import run
    from fucina.cli.screen import console, interval
    from fucina.evaluate import facts, sentences
    from fucina.records import Predictions

    _show_scores(outcome)
    for sentence in sentences(facts(outcome)):
        console.print(sentence, markup=False)
    if not isinstance(outcome.predictions, Predictions):
        _show_answers(outcome.predictions)
    for row in run.read_json(Path(outcome.folder) / "metrics.json")["expectations"]:
        word = "met" if row["met"] else "missed"
        console.print(
            f"expectation {word}: {row['name']} {row['expected']:g}, got {row['got']:.4g}",
            markup=False,
        )
    if curve is not None:
        console.print()
        percent = curve.metric == "accuracy"
        for rows, score in zip(curve.rows, curve.scores, strict=True):
            console.print(f"{rows:6} rows  {interval(score, percent=percent)}", markup=False)
        console.print(curve.advice, markup=False)
    if outcome.must_fix:
        right = sum(case.right for case in outcome.must_fix)
        console.print(f"must-fix cases: {right} of {len(outcome.must_fix)} right")
    for sentence in missed:
        console.print(f"goal missed: {sentence}", markup=False)
    console.print(
        f"\nreport  {outcome.folder}/report.html\nrun     {outcome.folder}",
        markup=False,
        soft_wrap=True,
    )
