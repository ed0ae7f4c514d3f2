"""fucina demo: a training that fails, what was wrong, and the same job done well, live."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.records import Comparison, Outcome

__all__ = ["command"]

STORY = Path(__file__).parent.parent / "demo"
SAMPLES = 10


def command(
    language: Annotated[str, typer.Option(help="it or en: which customer-support set.")] = "it",
    output: Annotated[str, typer.Option(help="Folder for the two runs.")] = "runs",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Re-enact a failed training and its repair on the embedded model, from nothing."""
    from dataclasses import asdict

    from fucina import evaluate, flow
    from fucina.cli.screen import console, print_json, reporting
    from fucina.errors import RecipeError
    from fucina.recipe import load

    folder = STORY / f"customer_support_{language}"
    if not folder.is_dir():
        raise RecipeError(f"no demo in {language!r}.", fix="Use --language it or --language en.")
    recipes = [
        load(folder / f"{name}.yaml", [f"output={output}"])[0] for name in ("failed", "improved")
    ]
    outcomes: list[Outcome] = []
    with reporting(quiet=as_json) as (progress, say):
        say("1. The training that fails: few examples, timid settings, one model")
        outcomes.append(flow.train(recipes[0], folder, progress=progress, say=say))
        say(f"   {_accuracy(outcomes[0])}")
        say("2. What differs from a training that works")
        for line in _differences(*recipes, rows=[_rows(recipe, folder) for recipe in recipes]):
            say(f"   {line}")
        count = recipes[1].folds.count
        say(f"3. The improved training: {count} stratified folds, trained together")
        outcomes.append(flow.train(recipes[1], folder, progress=progress, say=say))
        say(f"   {_accuracy(outcomes[1])}")
    comparison = evaluate.compare(
        ("failed", outcomes[0].predictions),
        ("improved", outcomes[1].predictions),
        recipes[1].evaluation,
        seed=recipes[1].seed,
    )
    if as_json:
        print_json(
            {
                "runs": [o.folder for o in outcomes],
                "before": evaluate.facts(outcomes[0]),
                "after": evaluate.facts(outcomes[1]),
                "comparison": asdict(comparison),
            }
        )
        return
    _show(console, outcomes, comparison)


def _accuracy(outcome: "Outcome") -> str:
    score = outcome.model.scores["accuracy"]
    return (
        f"accuracy {score.value:.1%} [{score.low:.1%}, {score.high:.1%}] "
        f"on {outcome.model.rows} test sentences"
    )


def _rows(recipe: "Recipe", folder: Path) -> int:
    return sum(1 for line in (folder / recipe.data.train).open(encoding="utf-8") if line.strip())


def _differences(before: "Recipe", after: "Recipe", *, rows: list[int]) -> list[str]:
    """Every setting that differs, as the two recipes say it."""
    lines = [f"training sentences: {rows[0]} → {rows[1]}"]
    for section in ("model", "adapter", "training", "folds"):
        one, two = getattr(before, section).model_dump(), getattr(after, section).model_dump()
        lines += [
            f"{section}.{key}: {one[key]} → {two[key]}" for key in one if one[key] != two[key]
        ]
    return lines


def _show(console: Any, outcomes: "list[Outcome]", comparison: "Comparison") -> None:
    from rich.table import Table

    from fucina.cli.screen import baseline_table, interval
    from fucina.config import metric_name

    before, after = (outcome.model.scores for outcome in outcomes)
    table = Table(
        title="4. Before and after, with 95 % intervals",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for name, side in (
        ("metric", "left"),
        ("failed", "right"),
        ("improved", "right"),
        ("change", "right"),
    ):
        table.add_column(name, justify=side)
    for name in ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1"):
        gain = after[name].value - before[name].value
        relative = f" ({gain / before[name].value:+.0%})" if before[name].value else ""
        table.add_row(
            metric_name(name),
            interval(before[name]),
            interval(after[name]),
            f"{gain:+.3f}{relative}",
        )
    for name in ("log_loss", "ece"):
        table.add_row(
            metric_name(name).split(" (")[0],
            interval(before[name]),
            interval(after[name]),
            f"{after[name].value - before[name].value:+.3f}",
        )
    console.print()
    console.print(table)
    gain = comparison.differences["accuracy"]
    p_value = f"{comparison.p_value:.3f}" if comparison.p_value >= 0.001 else "<0.001"
    console.print(
        f"{comparison.verdict}: {gain.value:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}], "
        f"McNemar p {p_value}\n",
        markup=False,
    )
    console.print("5. Is fine-tuning worth it here?")
    console.print(outcomes[1].verdict, markup=False)
    console.print(baseline_table(outcomes[1].model, outcomes[1].baselines, outcomes[1].against))
    predictions = outcomes[1].predictions
    samples = Table(title="\n6. Ten test sentences", title_justify="left", box=None, pad_edge=False)
    samples.add_column("sentence", max_width=31, no_wrap=True, overflow="ellipsis")
    samples.add_column("answer")
    samples.add_column("sure", justify="right")
    samples.add_column("")
    step = max(1, len(predictions.prompts) // SAMPLES)
    for row in range(0, step * SAMPLES, step):
        right = predictions.answers[row] == predictions.targets[row]
        samples.add_row(
            predictions.prompts[row].replace("[", r"\["),
            predictions.answers[row],
            f"{predictions.confidences[row]:.0%}",
            "" if right else f"✗ {predictions.targets[row]}",
        )
    console.print(samples)
    console.print("\n7. Look further")
    for name, outcome in zip(("failed", "improved"), outcomes, strict=True):
        console.print(f"   {name:9} {outcome.folder}/report.html", markup=False, soft_wrap=True)
    console.print(
        f'   fucina predict {outcomes[1].folder} "Dov\'è il mio pacco?"',
        markup=False,
        soft_wrap=True,
    )
