"""Pass rates count the rows that a rule is for, and nothing that was not judged."""

import numpy as np
import pytest

from fucina.config import RuleConfig
from fucina.evaluate import Persona, idle, lines_of, persona_sentences
from fucina.metrics import ratio_interval
from fucina.records import Example, Message

RULES = (
    RuleConfig(name="short", max_words=3),
    RuleConfig(name="storm", must="no", when="mare"),
    RuleConfig(name="calm", judge="She is calm."),
)
ROWS = [Example("Esco in mare?", ""), Example("Ciao", ""), Example("E il mare?", "")]


class _Says:
    """Decides as it is told; the real judge has tests of its own."""

    def __init__(self, *opinions):
        self.opinions = list(opinions)

    def decide(self, matters):
        return [self.opinions.pop(0) for _ in matters]


def _persona(judge=None, voice=None, rules=RULES):
    return Persona(rules, lambda _: "", judge, voice)


def _pairs(mark):
    return list(zip(mark.gained.tolist(), mark.possible.tolist(), strict=True))


def test_a_rule_counts_where_it_applies_and_all_rules_together():
    marks = _persona().marks(["no", "ciao a tutti voi", "va bene"], ROWS)
    assert _pairs(marks["rule:short"]) == [(1, 1), (0, 1), (1, 1)]
    assert _pairs(marks["rule:storm"]) == [(1, 1), (0, 0), (0, 1)]
    assert _pairs(marks["all_rules"]) == [(1, 1), (0, 1), (0, 1)]
    assert "rule:calm" not in marks  # nobody judges it
    assert ratio_interval(marks["rule:storm"]).value == 0.5


def test_what_was_not_judged_counts_neither_way():
    marks = _persona(_Says(True, None, None)).marks(["no", "ciao", "va bene così sì"], ROWS)
    assert _pairs(marks["rule:calm"]) == [(1, 1), (0, 0), (0, 0)]
    # The second may keep all rules or not; the third breaks another one anyhow.
    assert _pairs(marks["all_rules"]) == [(1, 1), (0, 0), (0, 1)]


def test_an_answer_without_a_word_keeps_no_rule_and_is_not_sent():
    marks = _persona(_Says()).marks(["", " … ", ""], ROWS)
    assert {ratio_interval(mark).value for mark in marks.values()} == {0.0}


def test_rows_whose_true_answer_only_calls_tools_are_left_out():
    call = {"type": "function", "function": {"name": "meteo", "arguments": {}}}
    row = Example.of_conversation([Message("user", "mare?"), Message("assistant", "", (call,))])
    assert not _persona().marks(["no"], [row])


def test_a_rule_that_no_row_is_for_has_no_score():
    assert "rule:storm" not in _persona().marks(["sì"], ROWS[1:2])
    assert idle(RULES, ROWS[1:2]) == ["storm"]


def test_the_question_is_the_last_one_and_lines_are_all_answers():
    turns = [
        ("system", "Sei Nerina."),
        ("user", "Il mare?"),
        ("assistant", "no"),
        ("user", "Ciao"),
        ("assistant", "ciao"),
    ]
    row = Example.of_conversation([Message(role, said) for role, said in turns])
    assert _pairs(_persona().marks(["salve"], [row])["rule:short"]) == [(1, 1)]
    assert "rule:storm" not in _persona().marks(["salve"], [row])
    assert lines_of([row]) == [("Il mare?", "no"), ("Ciao", "ciao")]


@pytest.mark.parametrize(("facts", "words"), [
    ({"judge": {"model": "g", "asked": 3, "not_judged": 2, "problem": "late"}}, ["decided by g", "2 answer(s) could not be judged", "late"]),
    ({"notes": ["1 rule(s) in words are left out: no judge."]}, ["left out"]),
])  # fmt: skip
def test_what_could_not_be_done_is_said(facts, words):
    said = " ".join(persona_sentences(facts))
    assert all(word in said for word in words)


@pytest.mark.parametrize(
    ("heard", "length", "warned"),
    [(0.55, 0.5, "hardly"), (0.9, 0.8, "Length alone"), (0.9, 0.55, "")],
)
def test_a_listener_that_hears_little_or_only_length_is_warned_of(heard, length, warned):
    def around(value):
        return {"value": value, "low": value - 0.04, "high": value + 0.04}

    voice = {"auc": around(heard), "length_auc": around(length), "mistaken": around(0.1), "hers": 50,
             "others": 50, "both": 40, "from": "o.jsonl"}  # fmt: skip
    said = persona_sentences({"voice": voice})
    assert (len(said) == 2 and warned in said[1]) if warned else len(said) == 1


def test_a_voice_marks_each_row():
    class _Hears:
        def takes_for_hers(self, answers):
            return np.array([answer == "mia" for answer in answers])

    marks = _persona(voice=_Hears(), rules=()).marks(["mia", "tua"], ROWS[:2])
    assert list(marks) == ["sounds_like"]
    assert _pairs(marks["sounds_like"]) == [(1, 1), (0, 1)]
