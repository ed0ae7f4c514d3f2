"""The data-flow: a recipe goes in, a judged run comes out. Each line of `train` is a stage.

`reading` makes rows of the files of a recipe; `using` holds the verbs that start from a run folder.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fucina import evaluate, prepare, run, tasks
from fucina.reading import read, settle
from fucina.records import (
    Finding,
    LearningCurve,
    Outcome,
    Progress,
    Split,
    silent,
)
from fucina.rules import load_rules
from fucina.tasks.settings import learnt_as

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.journal import Journal
    from fucina.judging import Demands
    from fucina.models.base import Base
    from fucina.models.constrain import Held

__all__ = ["forge", "learning_curve", "train"]

SHARES = (0.125, 0.25, 0.5, 1.0)  # of the rows, for the learning curve


def train(
    recipe: "Recipe",
    root: Path,
    *,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
    resume: bool = False,
    laps: run.Laps | None = None,
    keys: Mapping[str, str] | None = None,
) -> Outcome:
    """Take a recipe to a trained and judged run.

    Args:
        recipe: What to do.
        root: The folder that paths in the recipe are relative to.
        progress: Shows steps.
        say: Shows messages.
        resume: Go on with the newest unfinished run of this recipe.
        laps: What came before took this long; None counts from here.
        keys: Name of a variable to the key of an endpoint, for rules that a model judges.

    Raises:
        FucinaError: Whatever is wrong with recipe, data, model or machine.
    """
    laps = laps or run.Laps()
    from fucina.journal import Journal  # noqa: F401  torch comes with it: as long as many a stage

    laps.end("libraries")
    split, findings = read(recipe, root, progress=progress)
    recipe = settle(recipe, split.development)
    laps.end("rows")
    return forge(
        recipe, root, split, findings=findings, progress=progress, say=say, resume=resume,
        laps=laps, keys=keys,
    )  # fmt: skip


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
    recipe = settle(recipe, split.development)
    answered: list[Any] = []
    sizes: list[int] = []
    quick = {
        "evaluation": recipe.evaluation.model_copy(
            update={"baselines": (), "rules": None, "must_fix": None, "goals": {}}
        ),
        "chat": recipe.chat.model_copy(update={"constitution": None, "others": None}),
    }
    with TemporaryDirectory() as scratch:
        small = recipe.model_copy(update={"output": scratch, **quick})
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
    keys: Mapping[str, str] | None = None,
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
        keys: Name of a variable to the key of an endpoint.
    """
    from fucina import forecast, persona
    from fucina.journal import Journal
    from fucina.judging import judge_run
    from fucina.models import base as bases
    from fucina.models import precision, threads
    from fucina.tasks.grammars import grammar_file
    from fucina.train.cross_validate import cross_validate

    form = learnt_as(recipe)
    base = bases.load(recipe.model, precision.choose(recipe), form)
    if form == "text":
        base = bases.with_template(base, recipe.chat, root / recipe.chat.template)
    demands = _demands(recipe, root, split, base, progress, keys or {})
    folder = (
        run.reopen(recipe, split)
        if resume
        else run.begin(recipe, split, precision=base.precision, root=root)
    )
    with run.hold(folder), threads.start() as pool:
        journal = Journal(folder, recipe, split, progress, say, laps or run.Laps())
        if base.template is not None and base.halves is None:
            run.keep_template(folder, base.template.source)
            persona.keep(recipe, root, folder)
        if grammar_file(recipe) is not None:
            run.keep_grammar(folder, root / recipe.chat.constrain)
        if demands.rules is not None:
            run.keep_rules(folder, root / str(recipe.evaluation.rules))
        journal.lap("loading")
        if demands.held is not None:
            _tell_misfits(demands.held, split, journal)
        for finding in findings:
            fix = f" {finding.fix}" if finding.severity == "warning" else ""
            journal.tell(f"{finding.severity}: {finding.message}{fix}")
        journal.log(
            f"{len(split.development)} rows, {len(split.labels)} labels, {len(split.folds)} "
            f"member(s), {len(split.test)} test rows; {base.name} in {base.precision}"
        )
        recipe, estimate, record = forecast.estimate(split, base, recipe, pool)
        journal.plan(recipe, estimate, record, resumed=resume)
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


def _demands(
    recipe: "Recipe",
    root: Path,
    split: Split,
    base: "Base",
    progress: Progress,
    keys: Mapping[str, str],
) -> "Demands":
    """Read what the model will be held against, so that a mistake in it shows before training."""
    from fucina import persona
    from fucina.demanded import read_cases
    from fucina.judging import Demands
    from fucina.tasks.grammars import open_grammars

    written = recipe.evaluation.rules
    cases = read_cases(recipe, root, split.labels, progress=progress)
    if tasks.get(recipe.task).answer == "text":
        persona.check(recipe, root, keys)
        held = open_grammars(
            recipe, root / recipe.chat.constrain, base.template, lambda: split.development.examples
        )
        return Demands(cases=cases, keys=keys, held=held)
    rules = load_rules(root / written, split.labels, always=True) if written else None
    return Demands(rules, cases)


def _tell_misfits(held: "Held", split: Split, journal: "Journal") -> None:
    """Say which answers could never be given under the grammar that answers are held to."""
    rows = split.development.examples
    wrong = held.misfits(rows)
    if wrong:
        journal.tell(
            f"{len(wrong)} of {len(rows)} true answers do not fit the grammar of chat.constrain, "
            f"so no model that is held to it can give them; the first is {wrong[0].origin}: "
            f"{wrong[0].target[:80]!r}."
        )
