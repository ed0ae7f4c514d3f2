"""Which of the ways that were tried is worth it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fucina.config import LOW_IS_GOOD, WAYS, metric_name
from fucina.records import Arm, Comparison

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Goals", "judge_goals", "recommend"]

# Goals that a way is held to, and what an arm says of them: name to arm, to number.
Goals = Mapping[str, float]
COSTS: "Mapping[str, Callable[[Arm], float | None]]" = {
    "latency_p50_ms": lambda arm: arm.latency_ms[0],
    "latency_p95_ms": lambda arm: arm.latency_ms[1],
    "peak_memory_mib": lambda arm: arm.memory_mib,
    "cost_per_query_usd": lambda arm: arm.cost.per_query,
}


def recommend(
    arms: Sequence[Arm],
    metric: str,
    compare: "Callable[[Arm, Arm], Comparison]",
    goals: Goals,
    tolerance: float,
) -> tuple[Arm, tuple[str, ...]]:
    """Choose the cheapest way that is about as good as the best one.

    A way that the best one measurably beats is out. Of the others those that miss fewer goals are
    kept, and of these the ones whose score is at most `tolerance` below the best of them: that no
    difference could be measured on few rows does not make two ways equal. The cheapest of what is
    left at the volume asked for is chosen, else the simplest.

    Args:
        arms: Best first, one at least.
        metric: The score that decides.
        compare: The second arm with the first, on the same rows.
        goals: Metric to what must be reached.
        tolerance: How much of the score may be given up for a cheaper way.

    Returns:
        The arm, and sentences that say why.
    """
    best, *rest = arms
    able = [best, *(arm for arm in rest if "is better than" not in compare(arm, best).verdict)]
    misses = {arm.name: len(judge_goals(arm, goals)[0]) for arm in able}
    fit = [arm for arm in able if misses[arm.name] == min(misses.values())]
    lowest = fit[0].scores[metric].value - tolerance - 1e-12
    near = [arm for arm in fit if arm.scores[metric].value >= lowest]
    chosen = min(near, key=lambda arm: (_month(arm), _order(arm)))
    said = [f"{chosen.name} has {_called(metric)} {chosen.scores[metric]}."]
    said += _beaten(best, [arm for arm in arms if arm not in able])
    if len(fit) < len(able):
        said.append(f"More goals are missed by {_names(able, without=fit)}.")
    if len(near) < len(fit):
        lower = _names(fit, without=near)
        said.append(
            f"Lower by more than {tolerance:g}, though not measurably on these rows: {lower}; more "
            "test rows may tell them apart."
        )
    return chosen, (*said, *_cheapest(chosen, near))


def _called(metric: str) -> str:
    return metric_name(metric).partition(" (")[0]


def _names(arms: Sequence[Arm], *, without: Sequence[Arm] = ()) -> str:
    left_out = [arm.name for arm in without]
    return ", ".join(arm.name for arm in arms if arm.name not in left_out)


def _beaten(best: Arm, beaten: Sequence[Arm]) -> list[str]:
    if not beaten:
        return ["No way is measurably better than another on these rows."]
    return [f"{best.name} is measurably better than {_names(beaten)}."]


def _cheapest(chosen: Arm, near: Sequence[Arm]) -> list[str]:
    others = [arm for arm in near if arm is not chosen]
    if not others:
        return []
    names = _names(others)
    if min(map(_month, others)) > _month(chosen):
        return [f"About as good and dearer: {names}."]
    return [f"About as good and no cheaper at known prices, but less simple: {names}."]


def _month(arm: Arm) -> float:
    """Rounded to what somebody would notice, so that a cent of training decides nothing."""
    return float("inf") if arm.cost.month is None else round(arm.cost.month, 1)


def _order(arm: Arm) -> int:
    return [str(way) for way in WAYS].index(arm.way)


def judge_goals(arm: Arm, goals: Goals) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The goals that an arm misses, those it reaches, and those of which nothing is known.

    Each is a sentence; behind an endpoint nothing is known of memory, and of likelihood.

    Args:
        arm: What was tried.
        goals: Name of a score, or of what an answer costs, to what must be reached.
    """
    missed, met, unknown = [], [], []
    for name, goal in goals.items():
        cost = COSTS.get(name)
        score = arm.scores.get(name)
        value = cost(arm) if cost else (None if score is None else score.value)
        low = cost is not None or name in LOW_IS_GOOD
        if value is None:
            unknown.append(f"{name} is not known, {goal:g} was asked.")
            continue
        word = "at most" if low else "at least"
        said = f"{name} is {value:.4g}, {word} {goal:g} was asked."
        right = value <= goal if low else value >= goal
        (met if right else missed).append(said)
    return tuple(missed), tuple(met), tuple(unknown)
