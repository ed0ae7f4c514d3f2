"""The data-flow: a recipe goes in, a judged run comes out. Each line of `train` is a stage."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import data, evaluate, prepare, run, tasks
from fucina.errors import RunError
from fucina.recipe import dump, parse
from fucina.records import (
    Comparison,
    Dataset,
    Evaluation,
    Example,
    Finding,
    Predictions,
    Progress,
    Split,
    silent,
)

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.ensemble import Ensemble

__all__ = ["Outcome", "compare", "judge_again", "load_model", "predict", "read", "test_set", "train"]

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        folder: The run folder.
        model: The model on the test set.
        out_of_fold: The members on the rows they held out.
        baselines: The free baselines on the test set, best first.
        against: The model against each baseline, in the same order.
        findings: What the data check noticed.
    """

    folder: Path
    model: Evaluation
    out_of_fold: Evaluation
    baselines: tuple[Evaluation, ...]
    against: tuple[Comparison, ...]
    findings: tuple[Finding, ...] = ()


def train(
    recipe: "Recipe",
    root: Path,
    *,
    progress: Progress = silent,
    say: Say = lambda message: None,
    resume: bool = False,
) -> Outcome:
    """Take a recipe to a trained and judged run.

    Args:
        recipe: What to do.
        root: The folder that paths in the recipe are relative to.
        progress: Shows steps.
        say: Shows messages.
        resume: Go on with the newest unfinished run of this recipe.

    Raises:
        FucinaError: Whatever is wrong with recipe, data, model or machine.
    """
    from fucina.journal import Journal
    from fucina.models import base as bases
    from fucina.models import threads
    from fucina.train.cross_validate import cross_validate

    split, findings = read(recipe, root, progress=progress)
    for finding in findings:
        say(f"{finding.severity}: {finding.message}")
    base = bases.load(recipe.model, recipe.training.precision)
    folder = _reopen(recipe, split) if resume else _begin(recipe, split)
    journal = Journal(folder, recipe, progress, say)
    journal.log(f"{len(split.development)} rows, {len(split.labels)} labels, "
                f"{len(split.folds)} member(s), {len(split.test)} test rows")
    with threads.start() as pool:
        fit = cross_validate(
            split, base, recipe, threads=pool, hooks=journal.hooks(), memory=journal.memory()
        )
        _keep(folder, fit, recipe)
        journal.close()
        outcome = _judge(folder, recipe, root, split, fit, pool, progress)
    _write(outcome, fit, recipe)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return outcome


def read(
    recipe: "Recipe", root: Path, *, progress: Progress = silent
) -> tuple[Split, list[Finding]]:
    """Read, check and divide the rows of a recipe.

    Raises:
        DataError: A file cannot be read, or the rows cannot be used as they are.
    """
    task = tasks.get(recipe.task)
    config = recipe.data

    def load(name: str | None, side: str) -> Dataset | None:
        if name is None:
            return None
        return read_file(recipe, root / name, side=side, progress=progress)

    train_rows = load(config.train, "train")
    validation, test = load(config.validation, "validation"), load(config.test, "test")
    del task
    findings = data.check(
        train_rows, test, folds=recipe.folds.count, allow_duplicates=config.allow_duplicates
    )
    data.raise_errors(findings)
    split = prepare.split(
        train_rows, validation=validation, test=test, config=config,
        folds=recipe.folds.count, seed=recipe.seed,
    )
    return split, findings


def read_file(
    recipe: "Recipe", path: Path, *, side: str = "", progress: Progress = silent
) -> Dataset:
    """Read one file with the columns of a recipe."""
    config = recipe.data
    columns = {"text": config.text, "label": config.label}
    if config.group:
        columns["group"] = config.group
    return data.load(
        path, columns, to_example=tasks.get(recipe.task).to_example, format=config.format,
        encoding=config.encoding, name=side or path.name, progress=progress,
    )


def load_model(folder: Path, *, workers: int) -> tuple["Recipe", "Ensemble"]:
    """Load the trained model of a run folder.

    Raises:
        RunError: The run is not complete, or a file is broken.
    """
    from fucina.models import base as bases
    from fucina.models import saved

    recipe = read_recipe(folder)
    facts = run.read_json(folder / "data.json")
    if not (folder / "metrics.json").is_file():
        raise RunError(
            f"{folder} is not complete.", fix="Finish it: fucina train RECIPE --resume."
        )
    base = bases.load(recipe.model, recipe.training.precision)
    return recipe, saved.load(folder, recipe, base, facts["labels"], workers=workers)


def read_recipe(folder: Path) -> "Recipe":
    """The recipe a run was made with."""
    path = folder / "recipe.yaml"
    if not path.is_file():
        raise RunError(f"{path} is missing.", fix="Give a run folder made by fucina train.")
    return parse(path.read_text(encoding="utf-8"), name=str(path))[0]


def predict(
    folder: Path, prompts: Sequence[str], *, progress: Progress = silent
) -> Predictions:
    """Answer prompts with the model of a run."""
    from fucina.models import threads

    with threads.start() as pool:
        _, model = load_model(folder, workers=_count(pool))
        return model.predict(prompts, threads=pool, progress=progress)


def judge_again(
    folder: Path, path: Path | None = None, *, progress: Progress = silent
) -> Evaluation:
    """Judge the model of a run on its own test set, or on another file.

    Raises:
        RunError: The stored test set is not the one the run was locked to.
    """
    from fucina.models import threads

    with threads.start() as pool:
        recipe, model = load_model(folder, workers=_count(pool))
        rows = test_set(folder) if path is None else read_file(recipe, path, progress=progress)
        return evaluate.measure(model, rows, recipe.evaluation, seed=recipe.seed, threads=pool,
                                name="model", progress=progress)[0]


def test_set(folder: Path) -> Dataset:
    """The locked test rows of a run, checked against their fingerprint."""
    predictions = run.read_predictions(folder / "predictions.parquet")
    groups = run.read_json(folder / "data.json")["test"]
    rows = Dataset(
        "test",
        tuple(
            Example(prompt, target)
            for prompt, target in zip(predictions.prompts, predictions.targets, strict=True)
        ),
    )
    if rows.fingerprint != groups["sha256"]:
        raise RunError(
            f"the test rows in {folder} were changed after training.",
            fix="Restore predictions.parquet, or judge on a file: --data FILE.",
        )
    return rows


def compare(first: Path, second: Path) -> Comparison:
    """Compare two runs on the test rows they share."""
    recipe = read_recipe(first)
    names = (first.parent.name + "/" + first.name, second.parent.name + "/" + second.name)
    return evaluate.compare(
        (names[0], run.read_predictions(first / "predictions.parquet")),
        (names[1], run.read_predictions(second / "predictions.parquet")),
        recipe.evaluation,
        seed=recipe.seed,
    )


def _count(pool: Any) -> int:
    return pool._max_workers


def _begin(recipe: "Recipe", split: Split) -> Path:
    folder = run.create(Path(recipe.output), recipe.name)
    run.write_text(folder / "recipe.yaml", dump(recipe))
    run.write_json(folder / "data.json", run.describe_data(split))
    run.write_json(folder / "environment.json", run.environment())
    return folder


def _reopen(recipe: "Recipe", split: Split) -> Path:
    """Find the newest run of this name, which must be unfinished and of this recipe and data."""
    parent = Path(recipe.output) / recipe.name
    folder = run.latest(parent)
    if folder is None or (folder / "metrics.json").is_file():
        raise RunError(
            f"nothing to resume in {parent}.", fix="Start a new run: leave out --resume."
        )
    before = read_recipe(folder)
    if before != recipe:
        old, new = before.model_dump(mode="json"), recipe.model_dump(mode="json")
        changed = [key for key in new if old.get(key) != new[key]]
        raise RunError(
            f"{folder} belongs to another recipe: {', '.join(changed)} differ.",
            fix="Undo the change, or start a new run: leave out --resume.",
        )
    if run.read_json(folder / "data.json") != run.describe_data(split):
        raise RunError(
            f"the data changed since {folder} was started.",
            fix="Put the old files back, or start a new run: leave out --resume.",
        )
    return folder


def _keep(folder: Path, fit: Any, recipe: "Recipe") -> None:
    """Write the members with the weights they keep."""
    from fucina.models.saved import member_folder, save_lexicon, save_member

    alone = len(fit.stacks) == len(fit.members)
    for member in fit.members:
        stack = fit.stacks[member.index] if alone else fit.stacks[0]
        save_member(
            member_folder(folder, recipe, member.index), stack, recipe, member.state,
            fit.lexical[member.index],
        )
    if fit.lexicon is not None:
        save_lexicon(folder, fit.lexicon)


def _judge(
    folder: Path, recipe: "Recipe", root: Path, split: Split, fit: Any, pool: Any,
    progress: Progress,
) -> Outcome:
    """Judge the saved model, its members out of fold, and the free baselines."""
    from fucina.models import features, saved

    base = fit.stacks[0].base
    model = saved.load(folder, recipe, base, split.labels, workers=_count(pool))
    judged, predictions = evaluate.measure(
        model, split.test, recipe.evaluation, seed=recipe.seed, threads=pool, name="model",
        progress=progress,
    )
    run.write_predictions(folder / "predictions.parquet", predictions)
    run.write_predictions(folder / "out_of_fold.parquet", fit.out_of_fold)
    out_of_fold = evaluate.judge(
        fit.out_of_fold, recipe.evaluation, name="out of fold", seed=recipe.seed
    )
    rows = sorted({row for fold in split.folds for row in fold.train})
    learned = split.development.take(rows)
    vectors = features.maker(base, recipe.model.max_length_tokens, pool)
    baselines: list[tuple[Evaluation, Comparison]] = []
    names = [*recipe.evaluation.baselines, *(["rules"] if recipe.evaluation.rules else [])]
    for number, name in enumerate(names, start=1):
        progress("baselines", number - 1, len(names))
        answers = evaluate.baseline(
            name, learned, split.test, split.labels, features=vectors,
            rules=root / recipe.evaluation.rules if recipe.evaluation.rules else None,
        )
        baselines.append(
            (
                evaluate.judge(answers, recipe.evaluation, name=name, seed=recipe.seed),
                evaluate.compare((name, answers), ("model", predictions), recipe.evaluation,
                                 seed=recipe.seed),
            )
        )
    baselines.sort(key=lambda pair: -pair[0].scores["accuracy"].value)
    return Outcome(
        folder, judged, out_of_fold, tuple(e for e, _ in baselines), tuple(c for _, c in baselines)
    )


def _write(outcome: Outcome, fit: Any, recipe: "Recipe") -> None:
    """Write what was found; metrics.json comes last and marks the run complete."""
    from fucina.evaluate.report import report

    folder = outcome.folder
    facts = evaluate.summary(outcome.model, outcome.out_of_fold, outcome.baselines, outcome.against)
    facts["members"] = [
        {
            "member": member.index + 1,
            "kept_epoch": member.kept_epoch,
            "best_epoch": member.best.epoch,
            "balanced_accuracy": member.best.balanced_accuracy,
            "validation_loss": member.best.loss,
            "ended": member.reason,
        }
        for member in fit.members
    ]
    run.write_text(folder / "metrics.csv", evaluate.as_csv(outcome.model, outcome.baselines))
    run.write_text(folder / "report.html", report(facts, run.read_events(folder), recipe.model_dump(mode="json")))
    run.write_json(folder / "metrics.json", facts)
