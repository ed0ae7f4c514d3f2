"""fucina evaluate RUN: judge a trained model."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    run: Annotated[Path, typer.Argument(help="A run folder, or the folder of a recipe's name.")],
    data: Annotated[
        Path | None, typer.Option(help="Judge on this labelled file instead of the test set.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Judge a trained model on its test set, or on another file."""
    import os
    from dataclasses import asdict

    from fucina import tasks, using
    from fucina.cli.screen import (
        console,
        per_label_table,
        print_json,
        reporting,
        score_table,
        show_must_fix,
        show_traits,
        slice_tables,
    )
    from fucina.run import find, read_recipe

    folder = find(run)
    with reporting(quiet=as_json) as (progress, say):
        evaluation, cases = using.judge_all(
            folder, data, progress=progress, say=say, keys=os.environ
        )
    recipe, held = read_recipe(folder), [asdict(case) for case in cases]
    if as_json:
        print_json({"run": str(folder), **asdict(evaluation), "must_fix": held})
        return
    name = "its test set" if data is None else str(data)
    title = f"{folder} on {evaluation.rows} rows of {name}"
    console.print(title, style="italic", markup=False, soft_wrap=True)
    console.print(score_table(evaluation))
    show_traits(evaluation)
    if evaluation.per_label:
        console.print()
        console.print(per_label_table(evaluation.per_label, spans="f1" in evaluation.scores))
    task = tasks.of(recipe)
    parts = {part.name: part.task.judging.headline for part in task.choices.parts}
    for table in slice_tables(evaluation, task.judging.headline, parts):
        console.print()
        console.print(table)
    if held:
        console.print()
        show_must_fix(held)
    elif recipe.evaluation.must_fix is not None:
        gone = f"\nmust-fix cases: {recipe.evaluation.must_fix} is not where it was, none was tried"
        console.print(gone, markup=False)
    cost = evaluation.cost
    if "prompt_tokens_mean" in cost:
        console.print(
            f"\none prompt has {cost['prompt_tokens_mean']:.1f} tokens, one answer "
            f"{cost['answer_tokens_mean']:.1f}", end="",
        )  # fmt: skip
    console.print(
        f"\none prompt takes {cost['latency_mean_ms']:.1f} ms "
        f"(p50 {cost['latency_p50_ms']:.1f}, p95 {cost['latency_p95_ms']:.1f})\n"
        f"peak memory {cost['peak_memory_mib']:.0f} MiB"
    )
