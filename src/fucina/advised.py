"""From what the arms came to, to an advice."""

from collections.abc import Callable
from pathlib import Path

import torch

from fucina import advise, evaluate
from fucina.arms import PROMPTED, Arms
from fucina.components import Components
from fucina.errors import RunError
from fucina.records import Advice, Arm, Comparison

__all__ = ["advised"]


def advised(
    arms: Arms, metric: str, components: Components, *, prompt_tokens: int, folder: Path
) -> Advice:
    """Compare the arms, look at the triggers, and recommend one.

    Args:
        arms: Tried.
        metric: The score that decides.
        components: The decision matrix.
        prompt_tokens: What the system says to a model that has not learnt it.
        folder: Where the advice is kept.

    Raises:
        RunError: No way could be tried.
    """
    case = arms.case
    goals, cost = case.recipe.evaluation.goals, case.config.cost
    order = sorted(arms.arms.values(), key=lambda arm: -arm.scores[metric].value)
    if not order:
        name, why = next(iter(arms.left_out.items()))
        raise RunError(
            f"no way could be tried; {name}: {why}",
            fix="Name a model in advise.models, or other ways in advise.ways.",
        )

    def compare(first: Arm, second: Arm) -> Comparison:
        one, two = ((arm.name, arms.texts(arm)) for arm in (first, second))
        return evaluate.compare_texts(
            one, two, case.recipe.evaluation, seed=case.recipe.seed, headline=metric
        )

    chosen, reason = advise.recommend(order, metric, compare, goals, case.config.tolerance)
    missed, met, unknown = advise.judge_goals(chosen, goals)
    even = {
        f"{one.name} → {two.name}": advise.break_even(one.cost, two.cost, cost.months)
        for one in order if one.cost.each
        for two in order if two.cost.each == 0.0
    }  # fmt: skip
    found = advise.triggers(
        prompt_tokens,
        components.stable,
        volume=cost.queries_per_month,
        break_even=_paid(order, cost.months),
        gain=_gain(order, compare),
    )
    machine = advise.machine_of(cost, gpu=torch.cuda.is_available())
    return Advice(
        task=case.recipe.task,
        rows=len(case.rows),
        test=arms.split.test.fingerprint,
        metric=metric,
        arms=tuple(order),
        left_out=arms.left_out,
        against=tuple(compare(arm, chosen) for arm in order if arm is not chosen),
        chosen=chosen.name,
        reason=(*reason, *_warned(chosen, components)),
        triggers=found,
        matrix=components.matrix,
        break_even=even,
        missed=missed,
        met=met,
        unknown=unknown,
        assumed=(machine.said, *_assumed(order)),
        queries_per_month=cost.queries_per_month,
        folder=str(folder),
    )


def _best(order: list[Arm], *, learnt: bool) -> Arm | None:
    """The best arm that was trained, or that was not."""
    return next((arm for arm in order if (arm.way not in PROMPTED) == learnt), None)


def _paid(order: list[Arm], months: int) -> tuple[str, str, float | None] | None:
    """The best way that is paid by the query and the best trained one, and where they meet."""
    hosted = _best(order, learnt=True)
    paid = next((arm for arm in order if arm.cost.each), None)
    if hosted is None or paid is None:
        return None
    return paid.name, hosted.name, advise.break_even(paid.cost, hosted.cost, months)


def _gain(order: list[Arm], compare: Callable[[Arm, Arm], Comparison]) -> Comparison | None:
    plain, learnt = _best(order, learnt=False), _best(order, learnt=True)
    return compare(plain, learnt) if plain and learnt else None


def _warned(chosen: Arm, components: Components) -> list[str]:
    """What speaks against a training although it is the best way."""
    if chosen.way in PROMPTED or components.stable[0] is not False:
        return []
    return [
        "But who the assistant is still changes: each change has to be trained again, which takes "
        f"{chosen.training_s:,.0f} seconds."
    ]


def _assumed(order: list[Arm]) -> list[str]:
    said = []
    unpriced = [arm.name for arm in order if arm.cost.per_query is None]
    if unpriced:
        said.append(
            f"Nobody said what tokens cost of {', '.join(unpriced)}: give price_read and "
            "price_written in advise.models."
        )
    if any(arm.cost.capacity for arm in order):
        said.append(
            "What runs here is on a machine that is always on, 730 hours a month; one of this "
            "speed is meant."
        )
    return said
