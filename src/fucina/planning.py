"""The verb that says beforehand what a training takes: here, elsewhere, and what would fit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import forecast, plan, reading, run, tasks
from fucina.probing import LIMIT_S, TEST_ROWS, probe, shortened
from fucina.recipe import PRESETS, load
from fucina.records import Answer, Progress, silent
from fucina.tasks.settings import learnt_as
from fucina.weighing import Case, change_that_fits, weighed

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["Elsewhere", "Option", "Plan", "plan_recipe"]

PROBE_S = 10.0  # of VARIABLE by the formula, which may be off by two on a machine it has not seen
VARIABLE = ("reading", "floor", "training", "answering", "baselines")  # they grow with rows
STEP_S = LIMIT_S / 2  # a probe is stopped between steps, and sees the second one only
PROBE_ROWS = (1536, 1024, 768, 512, 384, 256, 192, 128, 96, 64, 32)  # the most that takes less


@dataclass(frozen=True)
class Elsewhere:
    """A recipe on a machine of hardware.yaml.

    Attributes:
        estimate: What it takes there.
        memory_mib: What that machine has.
        change: Overrides that make it fit there; empty when it fits.
        changed: What it takes with them; None when nothing makes it fit.
    """

    estimate: plan.Estimate
    memory_mib: float
    change: tuple[str, ...]
    changed: plan.Estimate | None


@dataclass(frozen=True)
class Option:
    """A recipe, or a preset of it, with what it takes on this machine.

    Attributes:
        name: `written` for the recipe as it is, or the preset.
        work: What it asks for.
        estimate: What it takes.
        checkpointing: Whether the trained layers are computed twice, asked for or by need.
        change: Overrides that make it fit in the free memory; empty when it fits.
        changed: What it takes with them; None when nothing makes it fit.
    """

    name: str
    work: plan.Work
    estimate: plan.Estimate
    checkpointing: bool
    change: tuple[str, ...]
    changed: plan.Estimate | None


@dataclass(frozen=True)
class Plan:
    """All that is known before a run.

    Attributes:
        base: Name of the base model.
        precision: Of its frozen weights here.
        options: The recipe as written, then the presets.
        elsewhere: The recipe as written on other machines.
        free_mib: Memory free here.
        notes: What the estimate rests on, in sentences.
        past_error: Median relative error of past estimates; None without past runs.
        past_runs: How many there are.
        answer: What the task answers with.
    """

    base: str
    precision: str
    options: tuple[Option, ...]
    elsewhere: tuple[Elsewhere, ...]
    free_mib: float
    notes: tuple[str, ...]
    past_error: float | None
    past_runs: int
    answer: Answer = "label"


def plan_recipe(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    with_probe: bool = True,
    price: float | None = None,
    progress: Progress = silent,
    laps: run.Laps | None = None,
) -> Plan:
    """Say what a recipe and its presets take.

    Args:
        path: The recipe.
        overrides: `section.key=value`; they win over file and presets.
        with_probe: Correct the formula by a small real run of at most 20 s.
        price: USD an hour, of this machine and the others; None for the examples of the catalog.
        progress: Shows steps.
        laps: What came before took this long; None counts from here.

    Raises:
        FucinaError: Whatever is wrong with recipe, data or model.
    """
    from fucina.models import blueprint, precision, threads

    laps = laps or run.Laps()
    laps.end("libraries")
    recipe = load(path, overrides)[0]
    split, _ = reading.read(recipe, path.resolve().parent, progress=progress)
    recipe = reading.settle(recipe, split.development)
    overrides = [*overrides, f"model.base={recipe.model.base}"]
    laps.end("rows")
    progress("drawing the base model", 0, 0)
    form = learnt_as(recipe)
    drawn = blueprint.draw(recipe.model, form)
    if form == "text":
        template = path.resolve().parent / recipe.chat.template
        drawn = blueprint.with_template(drawn, recipe.chat, template)
    chosen = precision.choose(recipe)
    laps.end("loading")
    with threads.start() as pool:
        machine = plan.here(pool, chosen, price=price or 0.0)
    past = forecast.past(Path(recipe.output), plan.fingerprint(machine.workers))
    case = Case(path, tuple(overrides), split, drawn, machine, tuple(past))
    work = case.work(recipe)
    here = blueprint.weights_at_hand(recipe.model.base)
    own = recipe.engine.backend == "fucina"
    probing = with_probe and here and own
    known, note = _corrected(case, recipe, work, laps, progress, probing=probing)
    notes = [note, "Times are for all epochs; early stopping may end sooner."]
    if form == "text" and not split.labels:
        notes.append("Every answer is counted as long as chat.max_new_tokens lets it become.")
    if not own:
        notes.append("The plan is that of Fucina's own engine: what Unsloth takes is not known.")
    if drawn.tokenizer is None:
        notes.append(f"{drawn.name} has no tokenizer here: tokens are guessed from characters.")
    if not here:
        notes.append(f"The weights of {drawn.name} are not on this disk: nothing could be tried.")
    others = plan.catalog(full=recipe.adapter.kind == "full")
    if price is not None:
        others = [replace(other, price=price) for other in others]
    return Plan(
        base=recipe.model.base,
        precision=chosen,
        options=tuple(
            _option(case, name, machine, known)
            for name in ("written", *PRESETS)
        ),
        elsewhere=tuple(_elsewhere(case, other) for other in others),
        free_mib=machine.memory_mib,
        notes=tuple(notes),
        past_error=plan.past_error(past),
        past_runs=len(past),
        answer=tasks.get(recipe.task).answer,
    )  # fmt: skip


def _option(case: Case, name: str, machine: plan.Machine, known: plan.Correction) -> Option:
    more = () if name == "written" else (f"preset={name}",)
    recipe, work, found = weighed(case, more, machine, known)
    change, changed = change_that_fits(case, more, found, machine, known)
    return Option(name, work, found, recipe.engine.checkpointing is True, change, changed)


def _elsewhere(case: Case, machine: plan.Machine) -> Elsewhere:
    found = weighed(case, (), machine, None)[2]
    change, changed = change_that_fits(case, (), found, machine, None)
    return Elsewhere(found, machine.memory_mib, change, changed)


def _corrected(
    case: Case,
    recipe: "Recipe",
    work: plan.Work,
    laps: run.Laps,
    progress: Progress,
    *,
    probing: bool,
) -> tuple[plan.Correction, str]:
    """How far the formula is off, by a probe or by past runs, and a sentence on which."""
    formula = plan.estimate(work, case.machine, recipe)
    size = work.stages["training"].flops
    slow = formula.seconds["training"] / (work.epochs * max(1, work.shapes.steps)) > STEP_S
    if probing and not slow and plan.fits_in(formula.peak_mib, case.machine.memory_mib):
        rows = _probe_rows(case, recipe, len(work.shapes.reading) and work.shapes.rows)
        record = probe(recipe, case.root, case.split, rows=rows, limit_s=LIMIT_S, progress=progress)
        seen = plan.from_record(record, record["machine"]) if record else None
        if seen is not None:
            began = {lap.stage: lap.seconds for lap in laps.done}
            loaded = began["loading"] + seen.true.get("loading", 0.0)
            found = plan.learn([seen], size, source="formula, corrected by a probe")
            before = plan.learn(case.past, size).ratios
            ratios = {
                **before,
                **found.ratios,
                "libraries": began["libraries"] / formula.seconds["libraries"],
                "rows": began["rows"] / formula.seconds["rows"],
                "loading": loaded / formula.seconds["loading"],
            }
            note = f"The formula is corrected by a small real run of {rows} rows on this machine."
            return replace(found, ratios=ratios), note
    if case.past:
        found = plan.learn(case.past, size, formula.peak_mib)
        return found, "The formula is corrected by past runs on this machine."
    why = "one step alone would take longer than a probe may" if slow else "nothing was tried"
    return plan.Correction(), f"Formula alone: {why}, so times may be off by half."


def _probe_rows(case: Case, recipe: "Recipe", most: int) -> int:
    """The most rows with which a probe should end in time."""
    small = shortened(recipe)
    for rows in PROBE_ROWS:
        if rows > most:
            continue
        few = plan.part(case.split, rows, TEST_ROWS, seed=recipe.seed)
        asked = case.work(small, few)
        seconds = plan.estimate(asked, case.machine, small).seconds
        if sum(seconds.get(stage, 0.0) for stage in VARIABLE) < PROBE_S:
            return rows
    return PROBE_ROWS[-1]
