"""Which way is worth it: rows as each way asks them, what it costs, and what follows."""

from fucina.advise.costs import Machine, break_even, cost_behind_endpoint, cost_here, machine_of
from fucina.advise.marks import deciding, known_metrics, marked
from fucina.advise.matrix import LONG_PROMPT, decide, steady
from fucina.advise.page import dollars, holds, page, seconds
from fucina.advise.recommend import COSTS, judge_goals, recommend
from fucina.advise.rows import (
    as_label,
    asked_of,
    behind,
    choosing,
    joined,
    naming,
    question_of,
    with_shots,
    with_turns,
)
from fucina.advise.triggers import triggers

__all__ = [
    "COSTS",
    "LONG_PROMPT",
    "Machine",
    "as_label",
    "asked_of",
    "behind",
    "break_even",
    "choosing",
    "cost_behind_endpoint",
    "cost_here",
    "decide",
    "deciding",
    "dollars",
    "holds",
    "joined",
    "judge_goals",
    "known_metrics",
    "machine_of",
    "marked",
    "naming",
    "page",
    "question_of",
    "recommend",
    "seconds",
    "steady",
    "triggers",
    "with_shots",
    "with_turns",
]
