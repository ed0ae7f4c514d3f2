"""Train a run again without a cause: to test it, or to mend the run, on the same test rows.

It starts from a run folder alone: the rows it learned from and its locked test rows are in it.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina import data, evaluate, flow, run, tasks, using
from fucina.errors import RunError
from fucina.recipe import dump, parse
from fucina.records import (
    Answer,
    Cause,
    Comparison,
    Dataset,
    Example,
    Message,
    Outcome,
    Predictions,
    Progress,
    Spans,
    Texts,
    silent,
)

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["Mended", "apply", "try_without"]

Given = Predictions | Texts | Spans
Repairs = Mapping[str, str | tuple[Message, ...] | None]

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
    before: Predictions | Texts | Spans
    after: Predictions | Texts | Spans
    comparison: Comparison


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
    repairs: dict[str, str | tuple[Message, ...] | None] = {}
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
    repairs: Repairs,
    progress: Progress,
) -> Mended:
    """Train what a run would have been with other settings and rows, on the same test rows."""
    touched = _write_rows(folder, place, repairs)
    recipe = _changed(folder, place, _possible(place, changes))
    run.write_text(place / "recipe.yaml", dump(recipe))
    outcome: Outcome[Any] = flow.train(recipe, place, progress=progress)
    before, after, comparison = _compared(folder, outcome, recipe)
    settings = {key: value for key, value in changes.items() if key not in {*QUICK, "name"}}
    return Mended(
        outcome.folder, str(place / "recipe.yaml"), settings, touched, before, after, comparison
    )


def _compared(
    folder: Path, outcome: Outcome[Any], recipe: "Recipe"
) -> tuple[Given, Given, Comparison]:
    """Both runs on the same test rows, in the order of the first."""
    path, config = folder / "predictions.parquet", recipe.evaluation
    after = outcome.predictions
    if isinstance(after, Texts):
        old = run.read_texts(path)[1]
        new = evaluate.texts_like(after, old)
        if not np.allclose(new.tokens, old.tokens):
            # Another template, or more turns learnt: both are to foretell the same tokens.
            old = using.foretell(folder, as_in=Path(outcome.folder))
        found = evaluate.compare_texts(("before", old), ("after", new), config, seed=recipe.seed)
        return old, new, found
    if isinstance(after, Spans):
        marked = run.read_spans(path)[1]
        same = evaluate.spans_like(after, marked)
        found = evaluate.compare_spans(
            ("before", marked), ("after", same), config, seed=recipe.seed
        )
        return marked, same, found
    before = run.read_predictions(path)
    ordered = evaluate.labels_like(after, before)
    found = evaluate.compare(("before", before), ("after", ordered), config, seed=recipe.seed)
    return before, ordered, found


def _write_rows(folder: Path, place: Path, repairs: Repairs) -> int:
    """Write train, validation and test rows of a run; returns how many were repaired."""
    recipe = run.read_recipe(folder)
    rows, fold = run.read_rows(folder / "development.parquet")
    apart = recipe.data.validation is not None and not recipe.folds.count
    sides: dict[str, list[Example]] = {"train": [], "validation": []}
    touched = 0
    for example, held in zip(rows.examples, fold, strict=True):
        mended = _repaired(example, repairs)
        touched += mended != example
        if mended is not None:
            sides["validation" if apart and held >= 0 else "train"].append(mended)
    sides["test"] = list(using.test_set(folder).examples)
    answer = tasks.get(recipe.task).answer
    for side, examples in sides.items():
        if examples:
            text = answer == "text"
            lines = _messages(examples, place) if text else [_line(row, answer) for row in examples]
            run.write_text(place / f"{side}.jsonl", "".join(lines))
    return touched


def _repaired(example: Example, repairs: Repairs) -> Example | None:
    """A row as a repair wants it; None where it is left out."""
    if example.origin not in repairs:
        return example
    new = repairs[example.origin]
    if not new:
        return None
    if isinstance(new, str):
        return replace(example, prompt=new)
    return replace(
        Example.of_conversation(new, tools=example.tools, group=example.group),
        origin=example.origin, facts=example.facts,
    )  # fmt: skip


def _possible(place: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Take fewer folds where a label has too few rows for as many as were wanted."""
    wanted = changes.get("folds.count", 0)
    groups: dict[str, set[str]] = {}
    lines = (place / "train.jsonl").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        row = json.loads(line)
        groups.setdefault(row.get("label", ""), set()).add(row.get("group") or str(number))
    fewest = min(map(len, groups.values()))
    if wanted <= fewest:
        return dict(changes)
    return {**changes, "folds.count": fewest if fewest > 1 else 0}


def _line(example: Example, answer: Answer) -> str:
    row = {**data.to_columns(example, answer), "group": example.group}
    return json.dumps(row, ensure_ascii=False) + "\n"


def _messages(examples: Sequence[Example], place: Path) -> list[str]:
    rows = data.to_rows(Dataset("rows", tuple(examples)), {}, place)
    grouped = zip(rows, examples, strict=True)
    return [
        json.dumps({**row, "group": example.group}, ensure_ascii=False) + "\n"
        for row, example in grouped
    ]


def _changed(folder: Path, place: Path, changes: Mapping[str, Any]) -> "Recipe":
    """The recipe of a run with other settings, on the rows written beside it."""
    before = run.read_recipe(folder)
    root = Path(run.read_json(folder / "environment.json").get("root", "."))
    beside = {
        f"evaluation.{key}": None if name is None else str(root / name)
        for key in ("rules", "must_fix")
        for name in (getattr(before.evaluation, key),)
    }
    text = tasks.get(before.task).answer == "text"
    template = before.chat.template
    if template not in {"auto", "chatml"}:
        template = str(run.template_of(folder).resolve())
    files: dict[str, Any] = {
        "data.train": "train.jsonl",
        "data.test": "test.jsonl",
        "data.validation": "validation.jsonl" if (place / "validation.jsonl").is_file() else None,
        "data.format": "messages" if text else "jsonl", "data.encoding": "utf-8",
        "data.group": "group", "data.columns": {},
        **({"chat.template": template} if text else {"data.text": "text", "data.label": "label"}),
        **beside,
        # Whoever trained on these rows allowed it; the repair of a leak has left them out.
        "data.allow_duplicates": True,
    }  # fmt: skip
    if changes.get("name") == "counterfactual":
        files["output"] = str(place / "runs")
    overrides = [f"{key}={json.dumps(value)}" for key, value in {**files, **changes}.items()]
    return parse(dump(before), overrides)[0]


def _half(rows: Dataset, fold: Sequence[int]) -> dict[str, str | None]:
    """Leave out every other training row of each label; rows held out by a lone member stay."""
    lone = max(fold) == 0
    labels = len(set(rows.targets)) < len(rows) / 2  # texts are all of one kind
    seen: dict[str, int] = {}
    out: dict[str, str | None] = {}
    for example, held in zip(rows.examples, fold, strict=True):
        if lone and held == 0:
            continue
        kind = example.target if labels else ""
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] % 2 == 0:
            out[example.origin] = None
    return out
