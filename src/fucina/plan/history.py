"""What past runs teach: how far the formula was off on this machine."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from fucina.plan.estimate import Correction

__all__ = ["Past", "from_record", "learn", "past_error"]

NEAREST = 5  # runs of like size that are asked
LEAST_S = 0.2  # a stage shorter than this says nothing about a ratio
ALIKE = 1.5  # a run whose memory is further away says nothing of this one's


@dataclass(frozen=True)
class Past:
    """An estimate beside the truth.

    Attributes:
        size: Operations of the training, to find runs of like size.
        estimated: Stage to seconds of the formula, for the epochs that were run.
        true: Stage to seconds.
        estimated_mib: Peak of memory by the formula.
        true_mib: Peak of memory.
    """

    size: float
    estimated: Mapping[str, float]
    true: Mapping[str, float]
    estimated_mib: float
    true_mib: float


def from_record(record: Mapping[str, Any], machine: str) -> Past | None:
    """Read a plan.json; None where it is of another machine, was resumed, or has no truth.

    Example:
        >>> from_record({"machine": "a1", "truth": None}, "a1") is None
        True
    """
    truth = record.get("truth")
    if not truth or record["machine"] != machine or truth["resumed"]:
        return None
    estimated = dict(record["estimate"]["seconds"])
    for stage in ("training", "checkpoints"):
        estimated[stage] *= truth["epochs"] / record["epochs"]  # it may have stopped early
    return Past(
        size=record["flops"],
        estimated=estimated,
        true=truth["seconds"],
        estimated_mib=sum(record["estimate"]["memory"].values()),
        true_mib=truth["peak_mib"],
    )


def learn(
    past: Sequence[Past], size: float, memory_mib: float | None = None, *, source: str = ""
) -> Correction:
    """The median ratio of truth to formula over the runs nearest in size, stage by stage.

    Of memory it is the median difference, over those of them that needed about as much: where the
    formula is far off for long conversations, short ones need not pay for it.

    Args:
        past: Runs on this machine.
        size: Operations of the training that is planned.
        memory_mib: What the formula says of its memory; None to ask all runs of theirs.
        source: What to call this; default: how many runs.

    Example:
        >>> one = Past(1e9, {"training": 2.0}, {"training": 3.0}, 100.0, 120.0)
        >>> found = learn([one], 1e9)
        >>> found.ratios["training"], found.memory_mib, found.source
        (1.5, 20.0, 'formula, corrected by 1 past run')
    """
    if not past:
        return Correction()
    near = sorted(past, key=lambda run: abs(math.log((run.size + 1) / (size + 1))))[:NEAREST]
    ratios: dict[str, float] = {}
    for stage in dict.fromkeys(name for run in near for name in run.true):
        found = [
            run.true[stage] / run.estimated[stage]
            for run in near
            if run.true.get(stage, 0) > 0 and run.estimated.get(stage, 0) > LEAST_S
        ]
        if found:
            ratios[stage] = median(found)
    beyond = [
        run.true_mib - run.estimated_mib
        for run in near
        if memory_mib is None or 1 / ALIKE < run.estimated_mib / memory_mib < ALIKE
    ]
    runs = f"{len(near)} past run{'s' if len(near) > 1 else ''}"
    return Correction(
        ratios,
        median(beyond) if beyond else 0.0,
        source or f"formula, corrected by {runs}",
    )


def past_error(past: Sequence[Past]) -> float | None:
    """Median relative error of the total time, each run estimated from the others.

    Returns:
        A share such as 0.09; None without past runs.
    """
    errors = []
    for number, run in enumerate(past):
        others = [*past[:number], *past[number + 1 :]]
        ratios = learn(others, run.size).ratios
        total = sum(run.true.get(stage, 0.0) for stage in run.estimated)
        said = sum(s * ratios.get(stage, 1.0) for stage, s in run.estimated.items())
        if total > 0:
            errors.append(abs(said / total - 1))
    return median(errors) if errors else None
