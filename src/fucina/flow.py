"""The data-flow: a recipe goes in, a judged run comes out. Each line of `train` is a stage.

`using` holds the verbs that start from a run folder.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fucina import data, evaluate, prepare, run, tasks
from fucina.records import (
    Dataset,
    Finding,
    LearningCurve,
    Outcome,
    Predictions,
    Progress,
    Split,
    silent,
)

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.judging import Demands

__all__ = ["audit", "forge", "learning_curve", "read", "read_file", "read_subject", "train"]

SHARES = (0.125, 0.25, 0.5, 1.0)  # of the rows, for the learning curve


def train(
    recipe: "Recipe",
    root: Path,
    *,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
    resume: bool = False,
    laps: run.Laps | None = None,
) -> Outcome:
    """Take a recipe to a trained and judged run.

    Args:
        recipe: What to do.
        root: The folder that paths in the recipe are relative to.
        progress: Shows steps.
        say: Shows messages.
        resume: Go on with the newest unfinished run of this recipe.
        laps: What came before took this long; None counts from here.

    Raises:
        FucinaError: Whatever is wrong with recipe, data, model or machine.
    """
    laps = laps or run.Laps()
    from fucina.journal import Journal  # noqa: F401  torch comes with it: as long as many a stage

    laps.end("libraries")
    split, findings = read(recipe, root, progress=progress)
    laps.end("rows")
    return forge(
        recipe, root, split, findings=findings, progress=progress, say=say, resume=resume, laps=laps
    )


def learning_curve(
    recipe: "Recipe",
    root: Path,
    *,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
) -> tuple[Outcome, LearningCurve]:
    """Train on an eighth, a quarter, a half and all of the rows, judged on the same test rows.

    The smaller trainings leave nothing behind; the last one is a run like any other, and the curve
    is kept in it.

    Raises:
        FucinaError: Whatever is wrong with recipe, data, model or machine.
    """
    split, findings = read(recipe, root, progress=progress)
    answered: list[Predictions] = []
    sizes: list[int] = []
    quick = recipe.evaluation.model_copy(update={"baselines": (), "rules": None, "must_fix": None})
    with TemporaryDirectory() as scratch:
        small = recipe.model_copy(update={"output": scratch, "evaluation": quick})
        for share in SHARES:
            part = prepare.thin(split, share, seed=recipe.seed)
            sizes.append(round(sum(len(fold.train) for fold in part.folds) / len(part.folds)))
            say(f"training on {share:.1%} of the rows: {sizes[-1]}")
            one = recipe if share == 1 else small
            warned = findings if share == 1 else []
            outcome = forge(one, root, part, findings=warned, progress=progress, say=say)
            answered.append(outcome.predictions)
    curve = evaluate.learning_curve(sizes, answered, recipe.evaluation, seed=recipe.seed)
    run.write_json(Path(outcome.folder) / "learning_curve.json", asdict(curve))
    return outcome, curve


def forge(
    recipe: "Recipe",
    root: Path,
    split: Split,
    *,
    findings: Sequence[Finding],
    progress: Progress,
    say: Callable[[str], None],
    resume: bool = False,
    laps: run.Laps | None = None,
) -> Outcome:
    """Train and judge rows that are divided already.

    Args:
        recipe: What to do.
        root: The folder that paths in the recipe are relative to.
        split: Rows and folds.
        findings: What was noticed about the rows, for the log.
        progress: Shows steps.
        say: Shows messages.
        resume: Go on with the newest unfinished run of this recipe.
        laps: What was done before took this long; None counts from here.
    """
    from fucina import forecast
    from fucina.journal import Journal
    from fucina.judging import judge_run
    from fucina.models import base as bases
    from fucina.models import precision, threads
    from fucina.train.cross_validate import cross_validate

    demands = _demands(recipe, root, split, progress)
    answer = tasks.get(recipe.task).answer
    base = bases.load(recipe.model, precision.choose(recipe), answer)
    if answer == "text":
        base = bases.with_template(base, recipe.chat, root / recipe.chat.template)
    folder = (
        run.reopen(recipe, split)
        if resume
        else run.begin(recipe, split, precision=base.precision, root=root)
    )
    journal = Journal(folder, recipe, split, progress, say, laps or run.Laps())
    if base.template is not None:
        run.write_text(folder / "chat_template.jinja", base.template.source)
    journal.lap("loading")
    for finding in findings:
        journal.tell(f"{finding.severity}: {finding.message}")
    journal.log(
        f"{len(split.development)} rows, {len(split.labels)} labels, {len(split.folds)} "
        f"member(s), {len(split.test)} test rows; {base.name} in {base.precision}"
    )
    with threads.start() as pool:
        journal.plan(*forecast.estimate(split, base, recipe, pool), resumed=resume)
        fit = cross_validate(
            split, base, recipe, threads=pool, hooks=journal.hooks(), memory=journal.memory()
        )
        journal.keep(fit)
        journal.lap("saving")
        outcome = judge_run(
            fit.out_of_fold, split, base, recipe, demands, journal=journal, pool=pool
        )
    journal.finish(outcome, fit)
    journal.lap("report")
    journal.compare_with_plan()
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return outcome


def _demands(recipe: "Recipe", root: Path, split: Split, progress: Progress) -> "Demands":
    """Read what the model will be held against, so that a mistake in it shows before training."""
    from fucina.judging import Demands

    written = recipe.evaluation.rules
    rules = evaluate.load_rules(root / written, split.labels) if written else None
    demanded = recipe.evaluation.must_fix
    cases = read_file(recipe, root / demanded, progress=progress) if demanded else None
    if cases is not None:
        evaluate.require_known(cases, split.labels)
    return Demands(rules, cases)


def read(
    recipe: "Recipe", root: Path, *, progress: Progress = silent
) -> tuple[Split, list[Finding]]:
    """Read, check and divide the rows of a recipe.

    Raises:
        DataError: A file cannot be read, or the rows cannot be used as they are.
    """
    subject = read_subject(recipe, root, progress=progress)
    findings = data.gate(subject)
    data.raise_errors(findings)
    split = prepare.split(
        data.group_similar(subject.train),
        validation=subject.validation,
        test=subject.test,
        config=recipe.data,
        folds=recipe.folds.count,
        seed=recipe.seed,
        labelled=subject.answer == "label",
    )
    return split, findings


def audit(
    recipe: "Recipe", root: Path, *, progress: Progress = silent
) -> tuple[data.Subject, list[Finding]]:
    """Look at the rows of a recipe with every check; a k-fold run of it is used where there is one.

    Raises:
        DataError: A file cannot be read.
        ModelError: The tokenizer of the base model cannot be had.
        MissingExtraError: A library of a check is not installed.
    """
    from fucina.models import source
    from fucina.models.tokenize import count_tokens

    subject = read_subject(recipe, root, progress=progress)
    tokenizer = source.read_tokenizer(recipe.model.base, source.locate(recipe.model.base))
    subject = replace(
        subject,
        max_length_tokens=min(recipe.model.max_length_tokens, tokenizer.model_max_length),
        count_tokens=lambda texts: count_tokens(texts, tokenizer),
        out_of_fold=_out_of_fold(recipe),
    )
    return subject, data.audit(subject, progress=progress)


def read_subject(recipe: "Recipe", root: Path, *, progress: Progress = silent) -> data.Subject:
    """Read the files of a recipe; rows are called by file and line, or by path if names repeat.

    Raises:
        DataError: A file cannot be read.
    """
    config = recipe.data
    given = [name for name in (config.train, config.validation, config.test) if name is not None]
    short = len({Path(name).name for name in given}) == len(given)

    def rows(name: str, side: str, group: str | None = None) -> Dataset:
        origin = Path(name).name if short else name
        return read_file(
            recipe, root / name, name=side, origin=origin, group=group, progress=progress
        )

    return data.Subject(
        rows(config.train, "train", config.group),
        rows(config.validation, "validation") if config.validation is not None else None,
        rows(config.test, "test") if config.test is not None else None,
        answer=tasks.get(recipe.task).answer,
        folds=recipe.folds.count,
        allow_duplicates=config.allow_duplicates,
    )


def read_file(
    recipe: "Recipe",
    path: Path,
    *,
    name: str = "",
    origin: str = "",
    group: str | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Read one file with the columns of a recipe.

    Args:
        recipe: Says how the file is written, and what its columns are called.
        path: The file.
        name: Of the rows, for messages.
        origin: What rows are called by, with their line.
        group: Column of groups. Only rows that are divided need one, and those are train's.
        progress: Shows steps.
    """
    config = recipe.data
    columns = {"text": config.text, "label": config.label, **config.columns}
    if group is not None:
        columns["group"] = group
    return data.load(
        path,
        tasks.get(recipe.task),
        columns,
        format=config.format,
        encoding=config.encoding,
        name=name,
        origin=origin,
        progress=progress,
    )


def _out_of_fold(recipe: "Recipe") -> Predictions | None:
    """The answers of the newest complete run with folds of this recipe's name."""
    finished = sorted((Path(recipe.output) / recipe.name).glob("*/metrics.json"), reverse=True)
    for folder in (path.parent for path in finished):
        if run.read_json(folder / "data.json")["folds"] > 1:
            return run.read_predictions(folder / "out_of_fold.parquet")
    return None
