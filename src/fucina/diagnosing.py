"""The verbs that ask why: diagnose a run, test its first cause, apply what would mend it.

They start from a run folder alone: the rows it learned from and its locked test rows are in it.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina import data, diagnose, evaluate, flow, run, using
from fucina.errors import MissingExtraError, RunError
from fucina.recipe import dump, parse
from fucina.records import (
    Cause,
    Comparison,
    Dataset,
    Diagnosis,
    Finding,
    Outcome,
    Predictions,
    Progress,
    silent,
)

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["Mended", "apply", "diagnose_run", "try_without"]

QUICK = {"evaluation.baselines": [], "evaluation.bootstrap_samples": 200}
HALF = "too_few_examples"  # no training can add rows, but one can take half of them away


@dataclass(frozen=True)
class Mended:
    """A run before and after.

    Attributes:
        folder: Of the new run.
        recipe: The improved recipe; empty for a counterfactual, which leaves nothing behind.
        changes: The settings that differ, `section.key` to value.
        repaired: How many training rows were left out or rewritten.
        before: Predictions of the first run on its locked test rows.
        after: Predictions of the second on the same rows.
        comparison: Both, with a paired test.
    """

    folder: str
    recipe: str
    changes: Mapping[str, Any]
    repaired: int
    before: Predictions
    after: Predictions
    comparison: Comparison


def diagnose_run(folder: Path, *, progress: Progress = silent) -> Diagnosis:
    """Find the causes, the weak slices and the telling errors of a run.

    Raises:
        RunError: The run is not complete, or a file is broken.
    """
    from fucina.models import base as bases
    from fucina.models import features, precision, threads

    folder = run.find(folder)
    recipe = run.read_recipe(folder)
    if not (folder / "metrics.json").is_file():
        raise RunError(f"{folder} is not complete.", fix="Finish it: fucina train RECIPE --resume.")
    development, fold = run.read_rows(folder / "development.parquet")
    test = using.test_set(folder)
    answered = run.read_predictions(folder / "predictions.parquet")
    facts = run.read_json(folder / "metrics.json")
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
        findings=tuple(_findings(development, test, progress)),
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


def try_without(folder: Path, cause: Cause, *, progress: Progress = silent) -> Mended | None:
    """Train once without a cause, and see whether the symptom moves.

    For too few examples, where nothing can be added, half of the rows are taken away instead.

    Returns:
        Before and after; None where no training can test the cause.
    """
    if cause.name != HALF and not cause.changes and not cause.repairs:
        return None
    folder = run.find(folder)
    place = folder / "counterfactual"
    shutil.rmtree(place, ignore_errors=True)
    try:
        if cause.name == HALF:
            rows, fold = run.read_rows(folder / "development.parquet")
            cause = replace(cause, changes={}, repairs=_half(rows, fold))
        changes = {**cause.changes, **QUICK, "name": "counterfactual"}
        return _train(folder, place, changes, cause.repairs, progress)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def apply(folder: Path, causes: Sequence[Cause], *, progress: Progress = silent) -> Mended:
    """Write the improved recipe with repaired rows, train it, and compare.

    Args:
        folder: The run that was diagnosed.
        causes: Ranked; where two want one setting changed, the first has its way.
        progress: Shows steps.

    Raises:
        RunError: None of the causes can be mended by settings or by leaving rows out.
    """
    folder = run.find(folder)
    worth = [cause for cause in causes if cause.changes or cause.repairs]
    if not worth:
        raise RunError(
            "none of the causes can be mended by a recipe.",
            fix="Do what the fixes say by hand, mostly label more rows.",
        )
    changes: dict[str, Any] = {}
    repairs: dict[str, str | None] = {}
    for cause in reversed(worth):
        changes |= cause.changes
        repairs |= cause.repairs
    place = folder / "mended"
    shutil.rmtree(place, ignore_errors=True)
    name = run.read_recipe(folder).name
    changes["name"] = f"{name[:57]}-mended"
    return _train(folder, place, changes, repairs, progress)


def _train(
    folder: Path,
    place: Path,
    changes: Mapping[str, Any],
    repairs: Mapping[str, str | None],
    progress: Progress,
) -> Mended:
    """Train what a run would have been with other settings and rows, on the same test rows."""
    before = run.read_predictions(folder / "predictions.parquet")
    touched = _write_rows(folder, place, repairs)
    recipe = _changed(folder, place, _possible(place, changes))
    run.write_text(place / "recipe.yaml", dump(recipe))
    outcome: Outcome = flow.train(recipe, place, progress=progress)
    ordered = _ordered(outcome.predictions, before)
    seed = recipe.seed
    comparison = evaluate.compare(
        ("before", before), ("after", ordered), recipe.evaluation, seed=seed
    )
    settings = {key: value for key, value in changes.items() if key not in {*QUICK, "name"}}
    return Mended(
        outcome.folder, str(place / "recipe.yaml"), settings, touched, before, ordered, comparison
    )


def _write_rows(folder: Path, place: Path, repairs: Mapping[str, str | None]) -> int:
    """Write train, validation and test rows of a run; returns how many were repaired."""
    recipe = run.read_recipe(folder)
    rows, fold = run.read_rows(folder / "development.parquet")
    apart = recipe.data.validation is not None and not recipe.folds.count
    sides: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    touched = 0
    for example, held in zip(rows.examples, fold, strict=True):
        text = repairs.get(example.origin, example.prompt)
        touched += text != example.prompt
        if text:
            side = "validation" if apart and held >= 0 else "train"
            sides[side].append(_line(text, example.target, example.group))
    for example in using.test_set(folder).examples:
        sides["test"].append(_line(example.prompt, example.target, ""))
    for side, lines in sides.items():
        if lines:
            run.write_text(place / f"{side}.jsonl", "".join(lines))
    return touched


def _possible(place: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Take fewer folds where a label has too few rows for as many as were wanted."""
    wanted = changes.get("folds.count", 0)
    groups: dict[str, set[str]] = {}
    lines = (place / "train.jsonl").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        row = json.loads(line)
        groups.setdefault(row["label"], set()).add(row["group"] or str(number))
    fewest = min(map(len, groups.values()))
    if wanted <= fewest:
        return dict(changes)
    return {**changes, "folds.count": fewest if fewest > 1 else 0}


def _line(text: str, label: str, group: str) -> str:
    row = {"text": text, "label": label, "group": group}
    return json.dumps(row, ensure_ascii=False) + "\n"


def _changed(folder: Path, place: Path, changes: Mapping[str, Any]) -> "Recipe":
    """The recipe of a run with other settings, on the rows written beside it."""
    before = run.read_recipe(folder)
    root = Path(run.read_json(folder / "environment.json").get("root", "."))
    beside = {
        f"evaluation.{key}": None if name is None else str(root / name)
        for key in ("rules", "must_fix")
        for name in (getattr(before.evaluation, key),)
    }
    files: dict[str, Any] = {
        "data.train": "train.jsonl",
        "data.test": "test.jsonl",
        "data.validation": "validation.jsonl" if (place / "validation.jsonl").is_file() else None,
        "data.format": "jsonl", "data.encoding": "utf-8", "data.text": "text",
        "data.label": "label", "data.group": "group",
        **beside,
        # Whoever trained on these rows allowed it; the repair of a leak has left them out.
        "data.allow_duplicates": True,
    }  # fmt: skip
    if changes.get("name") == "counterfactual":
        files["output"] = str(place / "runs")
    overrides = [f"{key}={json.dumps(value)}" for key, value in {**files, **changes}.items()]
    return parse(dump(before), overrides)[0]


def _ordered(predictions: Predictions, like: Predictions) -> Predictions:
    """The same predictions with rows and labels in the order of another run."""
    place = {prompt: row for row, prompt in enumerate(predictions.prompts)}
    rows = [place[prompt] for prompt in like.prompts]
    columns = [predictions.labels.index(label) for label in like.labels]
    return replace(
        predictions,
        labels=like.labels,
        probabilities=predictions.probabilities[rows][:, columns],
        targets=like.targets,
        prompts=like.prompts,
    )


def _half(rows: Dataset, fold: Sequence[int]) -> dict[str, str | None]:
    """Leave out every other training row of each label; rows held out by a lone member stay."""
    lone = max(fold) == 0
    seen: dict[str, int] = {}
    out: dict[str, str | None] = {}
    for example, held in zip(rows.examples, fold, strict=True):
        if lone and held == 0:
            continue
        seen[example.target] = seen.get(example.target, 0) + 1
        if seen[example.target] % 2 == 0:
            out[example.origin] = None
    return out


def _findings(development: Dataset, test: Dataset, progress: Progress) -> list[Finding]:
    """What the audit says of the rows of a run; nothing where its libraries are missing."""
    named = tuple(
        replace(example, origin=f"test:{row}") for row, example in enumerate(test.examples, 1)
    )
    subject = data.Subject(development, test=replace(test, examples=named), allow_duplicates=True)
    with suppress(MissingExtraError):
        return data.audit(subject, progress=progress)
    return data.gate(subject)
