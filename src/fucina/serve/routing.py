"""Who answers where a model does not, and how a reply says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fucina.records import Example
from fucina.serve.interface import Served

__all__ = ["Routed", "unanswered", "without_model"]


@dataclass(frozen=True)
class Routed:
    """An answer, and who gave it.

    Attributes:
        route: `model`, `rules`, `endpoint` for another model, or `none`.
        reason: Why not the model: `unsure`, `timeout`, `error`, `nan`; empty where it did.
        answer: A label, a list of spans, or a text; None where there is none.
        confidence: Of the model, where it has one.
        guess: What the model would have said, had it been sure.
        reply: What rules say in words.
        rule: Number of the rule that answered; 0 for their default.
        note: More on the reason.
        more: What else the model told: probabilities, whether the text was cut.
        broken: A text broke off; what was said of it is no answer.
    """

    route: Literal["model", "rules", "endpoint", "none"]
    reason: str = ""
    answer: Any = None
    confidence: float | None = None
    guess: Any = None
    reply: str | None = None
    rule: int | None = None
    note: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    broken: bool = False

    @property
    def failed(self) -> bool:
        """The model failed, and nobody answered in its place."""
        return self.route == "none" and self.reason != "unsure"


def without_model(served: Served, row: Example, reason: str, note: str) -> Routed | None:
    """What the rules of a model answer; None where they do not.

    Args:
        served: Has the rules.
        row: What is asked.
        reason: Why they are asked.
        note: More on it.
    """
    rules = served.rules
    if rules is None:
        return None
    last = row.messages[-2].content if len(row.messages) > 1 else row.prompt
    if served.kind == "spans":
        spans = [
            {"start": s.start, "end": s.end, "label": s.label, "text": last[s.start : s.end]}
            for s in rules.mark(last)
        ]
        return Routed("rules", reason, answer=spans, note=note)
    found = rules.match(last)
    answer = found.label if served.kind == "label" else found.reply or found.label
    if answer is None:
        return None
    return Routed("rules", reason, answer=answer, reply=found.reply, rule=found.rule, note=note)


def unanswered(reason: str, note: str) -> Routed:
    """Nobody answers."""
    return Routed("none", reason, note=note)
