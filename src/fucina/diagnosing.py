"""The verb that asks why: from a run folder alone to causes, slices and telling errors."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina import data, diagnose, run, tasks, using
from fucina.errors import MissingExtraError, RunError
from fucina.opening import chat_of
from fucina.records import Answer, Dataset, Diagnosis, Finding, Progress, silent

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.pairing import Pairing
    from fucina.models.template import Template

__all__ = ["diagnose_run"]


def diagnose_run(folder: Path, *, progress: Progress = silent) -> Diagnosis:
    """Find the causes, the weak slices and the telling errors of a run.

    Raises:
        RunError: The run is not complete, or a file is broken.
    """
    folder = run.find(folder)
    recipe = run.read_recipe(folder)
    if not (folder / "metrics.json").is_file():
        raise RunError(f"{folder} is not complete.", fix="Finish it: fucina train RECIPE --resume.")
    facts = run.read_json(folder / "metrics.json")
    look = {"label": _labels, "text": _texts, "spans": _spans}[tasks.get(recipe.task).answer]
    return look(folder, recipe, facts, progress)


def _labels(folder: Path, recipe: "Recipe", facts: dict[str, Any], progress: Progress) -> Diagnosis:
    from fucina.models import base as bases
    from fucina.models import features, precision, threads

    development, fold = run.read_rows(folder / "development.parquet")
    answered = run.read_predictions(folder / "predictions.parquet")
    base = bases.load(recipe.model, precision.choose(recipe))
    with threads.start() as pool:
        reference = diagnose.refer(
            development,
            answered,
            features.maker(base, pool),
            seed=recipe.seed,
            progress=progress,
        )
    case = diagnose.Case(
        recipe=recipe,
        facts=facts,
        epochs=tuple(run.read_epochs(folder)),
        development=development,
        fold=np.array(fold),
        held_out=run.read_predictions(folder / "out_of_fold.parquet"),
        test=answered,
        findings=tuple(_findings(development, using.test_set(folder), None, progress)),
        reference=reference,
    )
    return Diagnosis(
        folder=str(folder),
        symptom=diagnose.symptom(case),
        causes=tuple(diagnose.rank_causes(case)),
        slices=tuple(diagnose.slices(case)),
        errors=tuple(diagnose.errors(case)),
        must_fix=tuple(facts.get("must_fix", [])),
    )


def _texts(folder: Path, recipe: "Recipe", facts: dict[str, Any], progress: Progress) -> Diagnosis:
    from fucina.models import source
    from fucina.models.base import choose_template

    development, fold = run.read_rows(folder / "development.parquet")
    using.test_set(folder)  # refuses rows that were changed
    rows, answered = run.read_texts(folder / "predictions.parquet")
    name, place = recipe.model.base, source.locate(recipe.model.base)
    halves = source.has_halves(source.read_config(name, place))
    chat, kept = chat_of(recipe, folder, halves=halves)
    template = choose_template(
        source.read_tokenizer(name, place), chat, kept.resolve(), halves=halves
    )
    parts = [part.name for part in tasks.of(recipe).choices.parts]
    progress("likeness of test and training", 0, 0)
    case = diagnose.TextCase(
        recipe=recipe,
        facts=facts,
        epochs=tuple(run.read_epochs(folder)),
        development=development,
        fold=np.array(fold),
        held_out=run.read_texts(folder / "out_of_fold.parquet")[1],
        rows=rows,
        test=answered,
        findings=tuple(_findings(development, rows, template, progress, parts=parts)),
        beside=diagnose.liken(development.prompts, rows.prompts, seed=recipe.seed),
        template=template,
    )
    return Diagnosis(
        folder=str(folder),
        symptom=diagnose.text_symptom(case),
        causes=tuple(diagnose.rank_text_causes(case)),
        slices=tuple(diagnose.text_slices(case)),
        errors=tuple(diagnose.text_errors(case)),
        must_fix=tuple(facts.get("must_fix", [])),
        answer="text",
    )


def _spans(folder: Path, recipe: "Recipe", facts: dict[str, Any], progress: Progress) -> Diagnosis:
    from fucina.models import source

    development, fold = run.read_rows(folder / "development.parquet")
    using.test_set(folder)  # refuses rows that were changed
    rows, marked = run.read_spans(folder / "predictions.parquet")
    tokenizer = source.read_tokenizer(recipe.model.base, source.locate(recipe.model.base))
    progress("likeness of test and training", 0, 0)
    case = diagnose.SpanCase(
        recipe=recipe,
        facts=facts,
        epochs=tuple(run.read_epochs(folder)),
        development=development,
        fold=np.array(fold),
        rows=rows,
        test=marked,
        findings=tuple(_findings(development, rows, None, progress, answer="spans")),
        beside=diagnose.liken(development.prompts, rows.prompts, seed=recipe.seed),
        capitals=tokenizer("Roma")["input_ids"] != tokenizer("roma")["input_ids"],
    )
    return Diagnosis(
        folder=str(folder),
        symptom=diagnose.span_symptom(case),
        causes=tuple(diagnose.rank_span_causes(case)),
        slices=tuple(diagnose.span_slices(case)),
        errors=tuple(diagnose.span_errors(case)),
        must_fix=(),
        answer="spans",
    )


def _findings(
    development: Dataset,
    test: Dataset,
    template: "Template | Pairing | None",
    progress: Progress,
    *,
    answer: Answer = "label",
    parts: Sequence[str] = (),
) -> list[Finding]:
    """What the audit says of the rows of a run; nothing where its libraries are missing."""
    named = tuple(
        replace(example, origin=f"test:{row}") for row, example in enumerate(test.examples, 1)
    )
    subject = data.Subject(
        development,
        test=replace(test, examples=named),
        answer="text" if template else answer,
        allow_duplicates=True,
        template=template,
        parts=dict.fromkeys(parts, ()),
    )
    with suppress(MissingExtraError):
        return data.audit(subject, progress=progress)
    return data.gate(subject)
