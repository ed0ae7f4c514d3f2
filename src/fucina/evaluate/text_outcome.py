"""What a run that answers with text came to: the model, its base alone and free baselines."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fucina import tasks
from fucina.config import metric_name
from fucina.evaluate.compare_texts import compare_texts
from fucina.evaluate.hardest import evidence
from fucina.evaluate.parts import alone, lifted, split_of, texts_of
from fucina.evaluate.persona import Persona
from fucina.evaluate.texts import judge_texts, marked, measure_texts
from fucina.evaluate.true_answers import beside
from fucina.models.writer import Writer
from fucina.records import (
    Comparison,
    Dataset,
    Evaluation,
    Outcome,
    Progress,
    Split,
    Texts,
    silent,
)
from fucina.tasks import Part, Task
from fucina.tasks.grammars import FREE
from fucina.tasks.settings import BASE, baselines

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["text_outcome", "text_verdict"]


@dataclass(frozen=True)
class _Answered:
    """All that was written to the rows of a test.

    Attributes:
        texts: By the model.
        others: Name to what its base, or itself writing freely, wrote.
        out_of_fold: Losses of members on rows they held out.
        free: Baselines that write nothing, and are asked yet.
        progress: Told before each of these.
    """

    texts: Texts
    others: Mapping[str, Texts]
    out_of_fold: Texts
    free: tuple[str, ...]
    progress: Progress


def text_outcome(
    model: Writer,
    plain: Writer,
    split: Split,
    out_of_fold: Texts,
    recipe: "Recipe",
    *,
    persona: Persona | None = None,
    threads: ThreadPoolExecutor,
    progress: Progress = silent,
    lap: Callable[[str], None] = silent,
) -> Outcome:
    """Judge the saved model beside its base, which was asked the same without training.

    A model whose answers are held to a grammar is judged beside itself writing freely too.

    Args:
        model: As it was saved and loaded again, so that what is judged is what is kept.
        plain: The base alone.
        split: With the test rows.
        out_of_fold: Losses of members on rows they held out.
        recipe: For the evaluation section.
        persona: What answers are held against.
        threads: Where answers are written.
        progress: Told after each chunk.
        lap: Told that a stage ended.
    """
    task, rows, names = tasks.of(recipe), split.test.examples, baselines(recipe)
    judged, texts = measure_texts(
        model, split.test, recipe.evaluation, seed=recipe.seed, threads=threads, name="model",
        task=task, persona=persona, progress=progress,
    )  # fmt: skip
    lap("answering")
    writers = {BASE: plain} if BASE in names else {}
    writers |= {} if model.held is None else {FREE: replace(model, held=None)}
    others = {}
    for name, writer in writers.items():
        progress(f"baseline {name}", 0, 0)
        written = writer.predict(rows, threads=threads, progress=progress)
        others[name] = marked(written, rows, task, persona)
    free = tuple(name for name in names if name != BASE)
    answered = _Answered(texts, others, out_of_fold, free, progress)
    outcome = _composed(judged, answered, split, task, recipe, persona)
    lap("baselines")
    return outcome


def _composed(
    judged: Evaluation,
    answered: _Answered,
    split: Split,
    task: Task,
    recipe: "Recipe",
    persona: Persona | None = None,
) -> Outcome:
    """The model beside its baselines; of several tasks all together, and then each by itself."""
    config, seed, texts, headline = (
        recipe.evaluation, recipe.seed, answered.texts, task.judging.headline
    )  # fmt: skip
    parts = {part.name: _of_part(part, judged, answered, split, recipe)
             for part in task.choices.parts}  # fmt: skip
    others = ({} if parts else _freely(answered, split, task)) | dict(answered.others)
    found = []
    for name, written in others.items():
        first = headline if headline in written.marks else "perplexity"
        marks = {} if parts else written.marks
        whole = judge_texts(replace(written, marks=marks), config, name=name, seed=seed)
        of_parts = {part: e for part, own in parts.items() for e in own.baselines if e.name == name}
        found.append((
            lifted(whole, of_parts),
            compare_texts((name, written), ("model", texts), config, seed=seed, headline=first),
        ))  # fmt: skip
    for baseline, _ in found:
        if baseline.name == BASE and judged.beside:
            judged = beside(judged, BASE, baseline)
    if persona is not None:
        judged = replace(judged, persona=persona.facts())
    if headline in task.judging.metrics:
        found.sort(key=lambda pair: -pair[0].scores[headline].value)
    return Outcome(
        folder="",
        model=judged,
        predictions=texts,
        out_of_fold=judge_texts(answered.out_of_fold, config, name="out of fold", seed=seed),
        calibration=None,
        folds=_each_fold(answered.out_of_fold, split) if len(split.folds) > 1 else {},
        baselines=tuple(baseline for baseline, _ in found),
        against=tuple(comparison for _, comparison in found),
        verdict=text_verdict(judged, found, headline),
        headline=headline,
        evidence=evidence(texts, split.test.examples, task),
        parts=parts,
    )


def _of_part(
    part: Part, whole: Evaluation, answered: _Answered, split: Split, recipe: "Recipe"
) -> Outcome:
    """What the run came to on the rows of one part."""
    rows, own = split.test.examples, split_of(part, split)
    held = [split.development.examples[row] for fold in split.folds for row in fold.held_out]
    before = f"{part.name}/"
    of_part = _Answered(
        texts_of(part, answered.texts, rows),
        {name: texts_of(part, written, rows) for name, written in answered.others.items()},
        texts_of(part, answered.out_of_fold, held),
        tuple(name.removeprefix(before) for name in answered.free if name.startswith(before)),
        answered.progress,
    )
    judged = alone(part, whole, len(own.test))
    return _composed(judged, of_part, own, part.task, recipe)


def _freely(answered: _Answered, split: Split, task: Task) -> dict[str, Texts]:
    """What baselines answer that write nothing, with its scores."""
    learned = sorted({row for fold in split.folds for row in fold.train})
    examples, rows = split.development.take(learned).examples, split.test.examples
    found = {}
    for number, name in enumerate(answered.free):
        answered.progress(f"baseline {name}", number, len(answered.free))
        answers = task.judging.baselines[name](examples, rows)
        found[name] = marked(_free(answers, split.test), rows, task)
    return found


def _free(answers: Sequence[str], rows: Dataset) -> Texts:
    """Answers that no model wrote: nothing is known of how likely they were."""
    nothing = np.zeros(len(rows))
    return Texts(
        tuple(rows.prompts),
        tuple(rows.targets),
        tuple(answers),
        nothing,
        nothing,
        np.zeros(0, bool),
    )


def _each_fold(texts: Texts, split: Split) -> dict[str, tuple[float, ...]]:
    """The loss of each member on its own fold; `texts` holds them one after the other."""
    ends = np.cumsum([len(fold.held_out) for fold in split.folds])
    parts = np.split(np.arange(len(texts.losses)), ends[:-1])
    losses = [float(texts.losses[part].sum() / texts.tokens[part].sum()) for part in parts]
    return {
        "perplexity": tuple(float(np.exp(min(loss, 700.0))) for loss in losses),
        "token_loss": tuple(losses),
    }


def text_verdict(
    model: Evaluation, beside: Sequence[tuple[Evaluation, Comparison]], headline: str
) -> str:
    """The first line of a report: how good, and whether fine-tuning was worth it."""
    score, form = model.scores[headline], ".2f" if headline == "perplexity" else ".3f"
    said = (
        f"{metric_name(headline).partition(' (')[0]} {score.value:{form}} (between "
        f"{score.low:{form}} and {score.high:{form}}) on {model.rows} rows never seen"
    )
    if not beside:
        return f"The model has {said}."
    equal = [pair for pair in beside if "is better than" not in pair[1].verdict]
    if not equal:
        return (
            f"The model has {said}; the best beside it is {_scored(beside[0][0], headline, form)}."
        )
    better = [pair for pair in equal if "is worse than" in pair[1].verdict]
    groups = {
        "Better than the model": better,
        "As good, within chance": [pair for pair in equal if pair not in better],
    }
    told = [
        f"{word}: {', '.join(_scored(evaluation, headline, form) for evaluation, _ in pairs)}. "
        for word, pairs in groups.items()
        if pairs
    ]
    return f"{''.join(told)}The model has {said}."


def _scored(baseline: Evaluation, headline: str, form: str) -> str:
    return f"{_called(baseline.name)} ({baseline.scores[headline].value:{form}})"


def _called(baseline: str) -> str:
    return {BASE: "the base alone", FREE: "the model writing freely"}.get(baseline, baseline)
