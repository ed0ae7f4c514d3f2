"""Hold answers against a constitution and a voice: which rules they keep, whether they sound so."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.evaluate.opinions import Judge, Matter
from fucina.evaluate.voice import Line, Voice
from fucina.metrics import applies, broken
from fucina.records import Example, Ratio

if TYPE_CHECKING:
    from fucina.config import RuleConfig

__all__ = ["Persona", "idle", "lines_of", "persona_sentences"]

KEPT, BROKEN, UNHEARD, NOT_ASKED = range(4)


@dataclass(frozen=True)
class Persona:
    """What answers are held against.

    Attributes:
        rules: Of the constitution; none to look at none.
        guess_language: Gives the code of a text's language; empty where it cannot tell.
        judge: Decides the rules in words; None to leave them out.
        voice: Tells the persona's answers from others; None to leave it out.
        others: Where the other answers came from.
        notes: What could not be done, a sentence each.
    """

    rules: "tuple[RuleConfig, ...]"
    guess_language: Callable[[str], str]
    judge: Judge | None = None
    voice: Voice | None = None
    others: str = ""
    notes: tuple[str, ...] = ()

    def marks(self, answers: Sequence[str], rows: Sequence[Example]) -> Mapping[str, Ratio]:
        """Which of n rows keep each rule and all rules, and which sound like the persona.

        A rule counts in the rows whose question it is for; an answer without a word keeps none.
        Rows whose true answer only calls tools are left out, and so is a rule that no row is for.
        """
        found: dict[str, Ratio] = {}
        rules = [rule for rule in self.rules if rule.judge is None or self.judge is not None]
        if rules:
            table = np.array([self._look(rule, answers, rows) for rule in rules])
            found["all_rules"] = _share(_together(table.reshape(len(rules), -1)))
            found |= {
                f"rule:{rule.name}": _share(own) for rule, own in zip(rules, table, strict=True)
            }
        if self.voice is not None:
            heard = self.voice.takes_for_hers(answers).astype(float)
            spoken = np.array([not _only_calls(row) for row in rows], dtype=float)
            found["sounds_like"] = Ratio(heard * spoken, spoken)
        return {name: mark for name, mark in found.items() if mark.possible.any()}

    def facts(self) -> dict[str, Any]:
        """How answers were judged, for JSON."""
        found: dict[str, Any] = {"notes": list(self.notes)}
        if self.voice is not None:
            found["voice"] = {**self.voice.facts(), "from": self.others}
        if self.judge is not None:
            judge = self.judge
            found["judge"] = {
                "model": judge.config.model, "asked": judge.asked,
                "not_judged": judge.not_judged, "problem": judge.problem,
            }  # fmt: skip
        return found

    def _look(
        self, rule: "RuleConfig", answers: Sequence[str], rows: Sequence[Example]
    ) -> np.ndarray:
        """KEPT, BROKEN, UNHEARD or NOT_ASKED of each row."""
        found = np.full(len(rows), NOT_ASKED)
        matters: dict[int, Matter] = {}
        for place, (answer, row) in enumerate(zip(answers, rows, strict=True)):
            question = _question(row)
            if _only_calls(row) or not applies(rule, question):
                continue
            if not any(map(str.isalnum, answer)):
                found[place] = BROKEN
            elif rule.judge is not None:
                matters[place] = Matter(rule.judge, _before(row), answer)
            else:
                wrong = broken([rule], question, answer, guess_language=self.guess_language)
                found[place] = BROKEN if wrong else KEPT
        if matters and self.judge is not None:
            kept = self.judge.decide(list(matters.values()))
            states = [UNHEARD if one is None else KEPT if one else BROKEN for one in kept]
            found[list(matters)] = states
        return found


def idle(rules: "Sequence[RuleConfig]", rows: Sequence[Example]) -> list[str]:
    """The names of rules that are for the question of no row."""
    asked = [_question(row) for row in rows]
    return [rule.name for rule in rules if not any(applies(rule, said) for said in asked)]


def lines_of(rows: Sequence[Example]) -> list[Line]:
    """Every answer of the assistant in words, with the question before it.

    Example:
        >>> lines_of([Example("ciao", "Ciao!")])
        [('ciao', 'Ciao!')]
    """
    found = []
    for row in rows:
        if not row.messages:
            found.append((row.prompt, row.target))
        question = ""
        for turn in row.messages:
            if turn.role == "user":
                question = turn.content
            elif turn.role == "assistant" and turn.content.strip():
                found.append((question, turn.content))
    return found


def persona_sentences(facts: Mapping[str, Any]) -> list[str]:
    """What a person must know to read the shares.

    Args:
        facts: Of a persona, as its `facts` gives them.
    """
    told = list(facts.get("notes", []))
    voice, judge = facts.get("voice"), facts.get("judge")
    if voice is not None:
        told.append(
            f"Sounds like: a listener learnt {voice['hers']} answers of train and "
            f"{voice['others']} of {voice['from']} ({voice['both']} question(s) on both sides). Of "
            f"one of each, to new questions, it finds the right one in {_percent(voice['auc'])}, "
            f"by length alone in {_percent(voice['length_auc'])}; it takes "
            f"{_percent(voice['mistaken'])} of the others for hers. It hears manner, not sense."
        )
        if voice["auc"]["low"] < 0.6:
            told.append("It hardly hears a difference: its share says little.")
        elif voice["length_auc"]["value"] > 0.75:
            told.append("Length alone tells much: give others of like length.")
    if judge is not None:
        told.append(f"Rules in words are decided by {judge['model']} ({judge['asked']} asked now).")
        if judge["not_judged"]:
            why = f": {judge['problem']}" if judge["problem"] else ""
            told.append(
                f"{judge['not_judged']} answer(s) could not be judged and do not count{why}. "
                "fucina evaluate asks again."
            )
    return told


def _percent(score: Mapping[str, float]) -> str:
    return f"{score['value']:.0%} [{score['low']:.0%}, {score['high']:.0%}]"


def _share(states: np.ndarray) -> Ratio:
    heard = np.isin(states, (KEPT, BROKEN)).astype(float)
    return Ratio((states == KEPT).astype(float), heard)


def _together(table: np.ndarray) -> np.ndarray:
    """All rules of each row: broken where one is, else unheard where one is, else kept."""
    asked = (table != NOT_ASKED).any(axis=0)
    states = np.where((table == UNHEARD).any(axis=0), UNHEARD, KEPT)
    states = np.where((table == BROKEN).any(axis=0), BROKEN, states)
    return np.where(asked, states, NOT_ASKED)


def _question(row: Example) -> str:
    said = [turn.content for turn in row.messages[:-1] if turn.role == "user"]
    return said[-1] if said else row.prompt


def _before(row: Example) -> str:
    turns = [f"{turn.role}: {turn.content}" for turn in row.messages[:-1] if turn.role != "system"]
    return "\n".join(turns) or row.prompt


def _only_calls(row: Example) -> bool:
    last = row.messages[-1] if row.messages else None
    return last is not None and bool(last.tool_calls) and not last.content.strip()
