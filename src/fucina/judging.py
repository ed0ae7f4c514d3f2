"""Judge what training left in a run folder: one function a kind of answer."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import advise, evaluate, persona, run, tasks
from fucina.demanded import answered
from fucina.models import saved, threads
from fucina.models.pace import Pace
from fucina.models.threads import count
from fucina.models.writer import ROWS
from fucina.records import (
    Dataset,
    Evaluation,
    Outcome,
    Predictions,
    Progress,
    Spans,
    Split,
    Texts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import ThreadPoolExecutor

    from fucina.config import Recipe
    from fucina.demanded import Demanded
    from fucina.journal import Journal
    from fucina.models.base import Base
    from fucina.models.constrain import Held
    from fucina.models.writer import Writer
    from fucina.rules import Rules

__all__ = ["Demands", "judge_run", "judge_written"]


class Demands:
    """What a recipe wants a model to be held against, read before training begins.

    Args:
        rules: The user's rules, judged as one more baseline.
        cases: What must be right.
        keys: Name of a variable to the key of an endpoint.
        held: What answers are held to while they are written.
    """

    def __init__(
        self,
        rules: "Rules | None" = None,
        cases: "Demanded" = (),
        keys: "Mapping[str, str] | None" = None,
        held: "Held | None" = None,
    ) -> None:
        self.rules, self.cases, self.keys, self.held = rules, cases, keys or {}, held


def judge_run(
    out_of_fold: Predictions | Texts | Spans,
    split: Split,
    base: "Base",
    recipe: "Recipe",
    demands: Demands,
    *,
    journal: "Journal",
    pool: "ThreadPoolExecutor",
) -> Outcome[Any]:
    """Judge the members of a run as they were saved.

    Args:
        out_of_fold: What members did on the rows they held out.
        split: Rows and folds.
        base: The frozen model.
        recipe: What was asked.
        demands: What the model is held against.
        journal: Of the run.
        pool: Where answers are computed.
    """
    if isinstance(out_of_fold, Texts):
        outcome: Outcome[Any] = _texts(
            out_of_fold, split, base, recipe, demands, journal=journal, pool=pool
        )
    elif isinstance(out_of_fold, Spans):
        outcome = _spans(out_of_fold, split, base, recipe, journal, pool)
    else:
        outcome = _labels(out_of_fold, split, base, recipe, demands, journal=journal, pool=pool)
    return replace(_priced(outcome, recipe), folder=str(journal.folder))


def _priced(outcome: Outcome[Any], recipe: "Recipe") -> Outcome[Any]:
    """An outcome that says what a query costs, by the machine and the volume of `advise.cost`."""
    import torch

    from fucina.config import CostConfig

    config = recipe.advise.cost if recipe.advise is not None else CostConfig()
    machine = advise.machine_of(config, gpu=torch.cuda.is_available())
    taken = outcome.model.cost["latency_mean_ms"] / 1000
    each = advise.cost_here(machine, config, seconds=taken).per_query or 0.0
    cost = {**outcome.model.cost, "cost_per_query_usd": each}
    return replace(outcome, model=replace(outcome.model, cost=cost))


def _texts(
    out_of_fold: Texts,
    split: Split,
    base: "Base",
    recipe: "Recipe",
    demands: Demands,
    *,
    journal: "Journal",
    pool: "ThreadPoolExecutor",
) -> Outcome[Texts]:
    workers, held, pace = threads.count(pool), demands.held, Pace(ROWS, tell=journal.tell)
    model = saved.load_writer(journal.folder, recipe, base, workers=workers, held=held, pace=pace)
    plain = saved.untrained_writer(recipe, base, workers=workers, held=held, pace=pace)
    against = persona.open_persona(
        Path(journal.folder), recipe, split.development.examples, split.test.examples,
        lambda: plain,
        keys=demands.keys, threads=pool, progress=journal.progress,
    )  # fmt: skip
    outcome = evaluate.text_outcome(
        model,
        plain,
        split,
        out_of_fold,
        recipe,
        persona=against,
        threads=pool,
        progress=journal.progress,
        lap=journal.lap,
    )
    found = answered(model, demands.cases, set(split.development.prompts), threads=pool)
    return replace(outcome, must_fix=found)


def _spans(
    out_of_fold: Spans,
    split: Split,
    base: "Base",
    recipe: "Recipe",
    journal: "Journal",
    pool: "ThreadPoolExecutor",
) -> Outcome[Spans]:
    calibration = evaluate.calibrate_spans(out_of_fold, recipe.evaluation, seed=recipe.seed)
    if calibration is not None:
        journal.trust(calibration)
    journal.lap("calibrating")
    workers = threads.count(pool)
    model = saved.load_marker(journal.folder, recipe, base, split.labels, workers=workers)
    outcome = evaluate.span_outcome(
        model,
        split,
        out_of_fold,
        recipe,
        threads=pool,
        progress=journal.progress,
        lap=journal.lap,
    )
    return replace(outcome, calibration=calibration)


def _labels(
    out_of_fold: Predictions,
    split: Split,
    base: "Base",
    recipe: "Recipe",
    demands: Demands,
    *,
    journal: "Journal",
    pool: "ThreadPoolExecutor",
) -> Outcome[Predictions]:
    # Single members answered the held-out rows: their temperature says nothing about votes.
    votes = recipe.folds.ensemble == "vote" and recipe.folds.count > 0
    trusting = recipe.evaluation.model_copy(update={"calibrate": False} if votes else {})
    calibration = evaluate.calibrate(out_of_fold, trusting, seed=recipe.seed)
    journal.trust(calibration)
    journal.lap("calibrating")
    folder = Path(journal.folder)
    model = saved.load(folder, recipe, base, split.labels, workers=threads.count(pool))
    outcome = evaluate.outcome(
        model,
        split,
        out_of_fold,
        calibration,
        recipe,
        rules=demands.rules,
        threads=pool,
        progress=journal.progress,
        lap=journal.lap,
    )
    found = answered(model, demands.cases, set(split.development.prompts), threads=pool)
    return replace(outcome, must_fix=found)


def judge_written(
    folder: Path,
    recipe: "Recipe",
    model: "Writer",
    rows: Dataset,
    keys: "Mapping[str, str]",
    *,
    threads: "ThreadPoolExecutor",
    progress: Progress,
) -> Evaluation:
    """Judge what the model of a run writes; a persona beside its base, which writes for it too.

    Args:
        folder: Of the run.
        recipe: What was asked.
        model: As it was saved.
        rows: To be answered.
        keys: Name of a variable to the key of an endpoint, for rules that a model judges.
        threads: Where answers are computed.
        progress: Shows steps.
    """
    config, seed, task = recipe.evaluation, recipe.seed, tasks.of(recipe)
    plain = saved.untrained_writer(recipe, model.base, workers=count(threads), pace=model.pace)
    learned = run.read_rows(folder / "development.parquet")[0].examples
    against = persona.open_persona(
        folder, recipe, learned, rows.examples, lambda: plain, keys=keys, threads=threads,
        progress=progress,
    )  # fmt: skip
    judged, _ = evaluate.measure_texts(
        model, rows, config, seed=seed, threads=threads, name="model", task=task,
        persona=against, progress=progress,
    )  # fmt: skip
    if against is None:
        return judged
    written = plain.predict(rows.examples, threads=threads, progress=progress)
    base = evaluate.marked(written, rows.examples, task, against)
    judged = evaluate.beside(
        judged, "base", evaluate.judge_texts(base, config, name="base", seed=seed)
    )
    return replace(judged, persona=against.facts())
