"""Judge what training left in a run folder: one function a kind of answer."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import evaluate, persona
from fucina.models import saved, threads
from fucina.models.pace import Pace
from fucina.models.writer import ROWS
from fucina.records import Case, Dataset, Outcome, Predictions, Spans, Split, Texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from fucina.config import Recipe
    from fucina.evaluate.rules import Rules
    from fucina.journal import Journal
    from fucina.models.base import Base
    from fucina.models.constrain import Held

__all__ = ["Demands", "judge_run"]


class Demands:
    """What a recipe wants a model to be held against, read before training begins.

    Args:
        rules: The user's rules, judged as one more baseline.
        cases: Rows that must be right.
        texts: Cases that an answer in words must get right.
        keys: Name of a variable to the key of an endpoint.
        held: What answers are held to while they are written.
    """

    def __init__(
        self,
        rules: "Rules | None" = None,
        cases: Dataset | None = None,
        texts: "Sequence[Case]" = (),
        keys: "Mapping[str, str] | None" = None,
        held: "Held | None" = None,
    ) -> None:
        self.rules, self.cases, self.texts, self.keys = rules, cases, texts, keys or {}
        self.held = held


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
    return replace(outcome, folder=str(journal.folder))


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
        Path(journal.folder), recipe, split.development.examples, split.test.examples, plain,
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
    if not demands.texts:
        return outcome
    learned = set(split.development.prompts)
    found = evaluate.must_fix_texts(model, demands.texts, learned, threads=pool)
    return replace(outcome, must_fix=found)


def _spans(
    out_of_fold: Spans,
    split: Split,
    base: "Base",
    recipe: "Recipe",
    journal: "Journal",
    pool: "ThreadPoolExecutor",
) -> Outcome[Spans]:
    workers = threads.count(pool)
    model = saved.load_marker(journal.folder, recipe, base, split.labels, workers=workers)
    return evaluate.span_outcome(
        model,
        split,
        out_of_fold,
        recipe,
        threads=pool,
        progress=journal.progress,
        lap=journal.lap,
    )


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
    if demands.cases is None:
        return outcome
    learned = set(split.development.prompts)
    found = evaluate.must_fix(model, demands.cases, learned, threads=pool)
    return replace(outcome, must_fix=found)
