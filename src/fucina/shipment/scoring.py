"""What an export scores on the locked test set, beside the run it was made from."""

from dataclasses import replace
from typing import TYPE_CHECKING

from fucina import evaluate, run, tasks
from fucina.records import Check, Dataset, Evaluation, Predictions, Spans, Texts

if TYPE_CHECKING:
    from fucina.shipment.job import Job

__all__ = ["scored"]

ALWAYS = ("token_loss", "macro_f1", "accuracy")  # told beside the headline, where there are such


def scored(job: "Job", answers: Predictions | Spans | Texts, rows: Dataset, by: str) -> list[Check]:
    """Scores of answers to the whole test set, each told beside that of the run.

    This is the price of the choice of members and of precision; it is told, not judged.

    Args:
        job: The export.
        answers: To the rows.
        rows: The test set.
        by: What computed them.
    """
    facts = run.read_json(job.original / "metrics.json")
    said, judged = facts["model"]["scores"], _judge(job, answers, rows).scores
    every = run.read_recipe(job.original).folds.count or 1
    which = f" ({job.wanted} of {every} members)" if every > 1 else ""
    names = dict.fromkeys([facts["headline"], *ALWAYS])
    return [
        Check(
            name, f"{by}{which}", len(rows), judged[name].value, None, True,
            f"[{judged[name].low:.3f}, {judged[name].high:.3f}] on the test set, the run "
            f"{said[name]['value']:.3f} [{said[name]['low']:.3f}, {said[name]['high']:.3f}]",
        )
        for name in names
        if name in judged and name in said
    ]  # fmt: skip


def _judge(job: "Job", answers: Predictions | Spans | Texts, rows: Dataset) -> Evaluation:
    config, seed = job.recipe.evaluation, job.recipe.seed
    if isinstance(answers, Predictions):
        known = replace(answers, targets=tuple(rows.targets))
        return evaluate.judge(known, config, name="export", seed=seed)
    if isinstance(answers, Spans):
        known = replace(answers, targets=tuple(row.spans for row in rows.examples))
        return evaluate.judge_spans(known, config, name="export", seed=seed)
    marked = evaluate.marked(answers, rows.examples, tasks.of(job.recipe))
    return evaluate.judge_texts(marked, config, name="export", seed=seed)
