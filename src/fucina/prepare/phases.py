"""How far the rows are on the way to the whole data set: phases with targets."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fucina.config import PhaseConfig

__all__ = ["PhaseProgress", "phase_progress"]


@dataclass(frozen=True)
class PhaseProgress:
    """One phase beside what is there.

    Attributes:
        name: As the recipe calls it.
        target: Rows of train when the phase is done.
        have: Rows of train now.
        missing: Rows to add, 0 when the phase is done.
        lacking: Label to the rows it lacks, the most first; without a target of its own a label
            shall have an even share. Rows that answer with text have none.
        note: What the phase is for.
    """

    name: str
    target: int
    have: int
    missing: int
    lacking: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


def phase_progress(
    targets: Sequence[str], phases: "Sequence[PhaseConfig]", *, labelled: bool = True
) -> tuple[PhaseProgress, ...]:
    """Set the rows there are beside the target of each phase.

    Args:
        targets: What the rows of train answer.
        phases: The phases of a recipe; their targets count all rows so far.
        labelled: Rows answer with labels, else with text.

    Example:
        >>> from fucina.config import PhaseConfig
        >>> phases = [PhaseConfig(name="foundation", rows=2), PhaseConfig(name="growth", rows=6)]
        >>> for phase in phase_progress(["a", "a", "b"], phases):
        ...     print(phase.name, phase.have, phase.missing, dict(phase.lacking))
        foundation 3 0 {}
        growth 3 3 {'b': 2, 'a': 1}
    """
    counts = Counter(targets) if labelled else Counter[str]()
    return tuple(_progress(len(targets), counts, phase) for phase in phases)


def _progress(have: int, counts: Counter[str], phase: "PhaseConfig") -> PhaseProgress:
    wanted = phase.rows_per_label
    if wanted is None:
        # Once all rows are there, an uneven spread is a matter of balance, which the audit judges.
        wanted = math.ceil(phase.rows / max(1, len(counts))) if have < phase.rows else 0
    lacks = {label: wanted - count for label, count in counts.items()}
    lacking = {label: n for label, n in sorted(lacks.items(), key=_most_first) if n > 0}
    missing = max(0, phase.rows - have)
    if phase.rows_per_label is not None:
        missing = max(missing, sum(lacking.values()))
    return PhaseProgress(phase.name, phase.rows, have, missing, lacking, phase.note)


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
