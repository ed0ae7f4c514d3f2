"""The verbs that start from a run folder alone: predict, evaluate, compare, report.

A folder is that of a run, or of a recipe's name, whose newest run is meant.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import asking, evaluate, reading, run, tasks
from fucina.errors import RunError
from fucina.opening import answer, load_as, load_model
from fucina.records import (
    Answer,
    Comparison,
    Dataset,
    Evaluation,
    Example,
    MustFix,
    Predictions,
    Progress,
    Spans,
    Texts,
    silent,
)

if TYPE_CHECKING:
    pass

__all__ = ["compare", "foretell", "judge", "judge_all", "predict", "report", "test_set"]


def predict(
    folder: Path,
    asked: Sequence[str | Example],
    *,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
) -> Predictions | Texts | Spans:
    """Answer prompts, or rows, with the model of a run.

    Raises:
        DataError: A prompt alone is no row of this task; see `asking.questions`.
    """
    rows = asking.as_rows(run.find(folder), asked)
    with _threads() as pool:
        _, model = load_model(folder, workers=_count(pool))
        return answer(model, rows, threads=pool, progress=progress, say=say)


def judge(
    folder: Path,
    path: Path | None = None,
    *,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
    keys: Mapping[str, str] | None = None,
) -> Evaluation:
    """Judge the model of a run on its own test set, or on another labelled file.

    See `judge_all`, which holds it against the cases of its recipe as well.
    """
    return judge_all(folder, path, progress=progress, say=say, keys=keys)[0]


def judge_all(
    folder: Path,
    path: Path | None = None,
    *,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
    keys: Mapping[str, str] | None = None,
) -> tuple[Evaluation, tuple[MustFix, ...]]:
    """Judge the model of a run, and hold it against the cases that must be right.

    Args:
        folder: The run.
        path: The file; None for the test set.
        progress: Shows steps.
        say: Shows messages.
        keys: Name of a variable to the key of an endpoint, for rules that a model judges.

    Raises:
        RunError: The stored test set is not the one the run was locked to.
    """
    from fucina import demanded
    from fucina.judging import judge_written
    from fucina.models.ensemble import Ensemble
    from fucina.models.marker import Marker

    folder = run.find(folder)
    with _threads() as pool:
        recipe, model = load_model(folder, workers=_count(pool))
        rows = (
            test_set(folder) if path is None else reading.read_file(recipe, path, progress=progress)
        )
        told = {"threads": pool, "progress": progress}
        measured = {**told, "seed": recipe.seed, "name": "model"}
        if isinstance(model, Marker):
            return evaluate.measure_spans(model, rows, recipe.evaluation, **measured)[0], ()
        cases = demanded.of_run(folder, recipe, run.read_json(folder / "data.json")["labels"])
        if isinstance(model, Ensemble):
            judged = evaluate.measure(model, rows, recipe.evaluation, **measured)[0]
        else:
            model.pace.tell = say
            judged = judge_written(folder, recipe, model, rows, keys or {}, **told)
        learned = set(run.read_rows(folder / "development.parquet")[0].prompts) if cases else ()
        return judged, demanded.answered(model, cases, learned, threads=pool)


def test_set(folder: Path) -> Dataset:
    """The locked test rows of a run, checked against their fingerprint.

    Raises:
        RunError: They were changed after training.
    """
    folder = run.find(folder)
    answer = _answer(folder)
    if answer != "label":
        read = run.read_texts if answer == "text" else run.read_spans
        rows, _ = read(folder / "predictions.parquet")
    else:
        predictions = run.read_predictions(folder / "predictions.parquet")
        pairs = zip(predictions.prompts, predictions.targets, strict=True)
        rows = Dataset("test", tuple(Example(prompt, target) for prompt, target in pairs))
    if rows.fingerprint != run.read_json(folder / "data.json")["test"]["sha256"]:
        raise RunError(
            f"the test rows in {folder} were changed after training.",
            fix="Restore predictions.parquet, or judge on a file: --data FILE.",
        )
    return rows


def compare(first: Path, second: Path) -> Comparison:
    """Compare two runs on the test rows they share."""
    folders = [run.find(folder) for folder in (first, second)]
    recipe = run.read_recipe(folders[0])
    names = [f"{folder.parent.name}/{folder.name}" for folder in folders]
    paths = [folder / "predictions.parquet" for folder in folders]
    kinds = [_answer(folder) for folder in folders]
    if kinds[0] != kinds[1]:
        raise RunError(
            f"{names[0]} and {names[1]} answer different tasks.", fix="Compare runs of one task."
        )
    if kinds[0] == "spans":
        spans = [(name, run.read_spans(path)[1]) for name, path in zip(names, paths, strict=True)]
        return evaluate.compare_spans(spans[0], spans[1], recipe.evaluation, seed=recipe.seed)
    if kinds[0] == "text":
        texts = [(name, run.read_texts(path)[1]) for name, path in zip(names, paths, strict=True)]
        return evaluate.compare_texts(
            texts[0], texts[1], recipe.evaluation, seed=recipe.seed,
            headline=tasks.of(recipe).judging.headline,
        )  # fmt: skip
    pairs = [(name, run.read_predictions(path)) for name, path in zip(names, paths, strict=True)]
    return evaluate.compare(pairs[0], pairs[1], recipe.evaluation, seed=recipe.seed)


def _answer(folder: Path) -> Answer:
    return tasks.get(run.read_recipe(folder).task).answer


def foretell(folder: Path, *, as_in: Path) -> Texts:
    """How likely a run finds its test answers, where they are written as in another run.

    Losses a token compare only where both runs have the same tokens to foretell: the same
    template, the same turns learnt, and the same turns cut.

    Args:
        folder: The run whose model foretells; what it wrote to the test rows stays.
        as_in: The run whose template is used.
    """
    from fucina.models.writer import Writer

    folder, as_in = run.find(folder), run.find(as_in)
    rows, texts = run.read_texts(folder / "predictions.parquet")
    own, other = run.read_recipe(folder), run.read_recipe(as_in)
    longest = other.model.max_length_tokens
    model = own.model.model_copy(update={"max_length_tokens": longest})
    written = own.model_copy(update={"chat": other.chat, "model": model})
    with _threads() as pool:
        writer = load_as(folder, written, _count(pool), as_in=as_in)
        if not isinstance(writer, Writer):
            raise RunError(f"{folder} answers with labels.", fix="Give runs that answer with text.")
        losses, tokens = writer.foretell(rows.examples, threads=pool)
    return replace(texts, losses=losses, tokens=tokens)


def report(folder: Path) -> Path:
    """Write report.html anew from what the run folder holds."""
    folder = run.find(folder)
    facts = run.read_json(folder / "metrics.json")
    kept = folder / "learning_curve.json"
    if kept.is_file():
        facts["learning_curve"] = run.read_json(kept)
    recipe = run.read_recipe(folder)
    page = evaluate.report(facts, run.read_events(folder), recipe.model_dump(mode="json"))
    run.write_text(folder / "report.html", page)
    return folder / "report.html"


def _threads() -> AbstractContextManager[ThreadPoolExecutor]:
    from fucina.models import threads

    return threads.start()


def _count(pool: ThreadPoolExecutor) -> int:
    from fucina.models import threads

    return threads.count(pool)
