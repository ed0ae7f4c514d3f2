"""Rules are kept or broken, with the words that show it."""

import pytest
from pydantic import ValidationError

from fucina.config import RuleConfig
from fucina.metrics import broken, sentences, words


def _broken(answer, prompt="", spoken="", **demand):
    rule = RuleConfig(name="r", **demand)
    return [told for _, told in broken([rule], prompt, answer, guess_language=lambda _: spoken)]


@pytest.mark.parametrize(("demand", "kept", "wrong", "evidence"), [
    ({"must": "mare"}, "Il Mare è calmo", "Il vento", "nothing matches mare"),
    ({"must": ["mare", "vento"]}, "mare e vento", "mare", "nothing matches vento"),
    ({"must_not": "wow|super"}, "bene", "Wow, super!", "says 'Wow', 'super'"),
    ({"max_words": 2}, "due parole", "ora sono tre", "3 words, at most 2"),
    ({"min_words": 2}, "due parole", "una", "1 words, at least 2"),
    ({"max_sentences": 1}, "Una sola, sig. Rossi.", "Una. Due.", "2 sentences, at most 1"),
])  # fmt: skip
def test_a_rule_is_kept_or_broken_with_evidence(demand, kept, wrong, evidence):
    assert _broken(kept, **demand) == []
    assert _broken(wrong, **demand) == [evidence]


def test_a_language_that_cannot_be_told_is_no_offence():
    assert _broken("ok", language="it") == []
    assert _broken("all fine", language="it", spoken="en") == ["speaks en, not it"]


def test_a_rule_with_when_is_for_questions_that_match_it():
    assert _broken("no", prompt="E la barca?", must="vento", when="barca")
    assert not _broken("no", prompt="E il faro?", must="vento", when="barca")


def test_case_counts_where_the_expression_says_so():
    assert not _broken("LEI", must_not="(?-i:lei)")


@pytest.mark.parametrize(
    "demand", [{}, {"must": "a", "max_words": 3}, {"must": "("}, {"when": "a"}]
)
def test_a_rule_has_exactly_one_demand_that_can_be_read(demand):
    with pytest.raises(ValidationError):
        RuleConfig(name="r", **demand)


def test_italian_words_and_sentences_are_counted_as_people_do():
    assert words("Dov'è l'ordine n. 5? Perché-no!") == ["Dov'è", "l'ordine", "n", "5", "Perché-no"]
    assert len(sentences("Arriva il dott. Bianchi alle 5.30. Davvero?! Sì…\n- poi")) == 4
    assert sentences("") == []
