"""Sentences with slots become what they say, each once, and errors name the letter."""

import random

import pytest

from fucina.errors import RecipeError
from fucina.prepare.pattern import draw, parse
from fucina.prepare.surface import SURFACES, no_accents, no_punctuation, typo

SLOTS = {"verbo": ["apro", "è"], "cosa": ["l'app", "il sito", "la città"]}


def _all(text, slots=SLOTS, seed=0):
    return sorted(one.text for one in _drawn(text, slots, seed))


def _drawn(text, slots=SLOTS, seed=0, beside=()):
    return draw(parse(text, slots, where="case 1"), slots, random.Random(seed), beside=beside)


@pytest.mark.parametrize(("text", "sentences"), [
    ("ciao", ["ciao"]),
    ("{verbo}?", ["apro?", "è?"]),
    ("[dai ]{verbo}", ["apro", "dai apro", "dai è", "è"]),
    ("(a|b) e (a|b)", ["a e a", "a e b", "b e a", "b e b"]),
    ("{verbo} e {verbo}", ["apro e apro", "è e è"]),  # one slot, one value
    ("a [(b|c) ]d", ["a b d", "a c d", "a d"]),
    ("a [b|c] d", ["a b d", "a c d", "a d"]),
    ("(ora) | \\[x\\] \\{y\\}", ["(ora) | [x] {y}"]),
    ("({verbo}|no)", ["apro", "no", "è"]),
    ("uno\ndue  tre", ["uno\ndue tre"]),
])  # fmt: skip
def test_a_pattern_becomes_every_sentence_once(text, sentences):
    assert _all(text) == sentences


def test_a_pattern_with_more_sentences_than_can_be_listed_is_drawn_from():
    slots = {name: [f"{name}{i}" for i in range(30)] for name in "abcdefghijklmnop"}
    pattern = parse("{" + "} {".join(slots) + "}", slots, where="case 1")
    few = [
        one.text for one, _ in zip(draw(pattern, slots, random.Random(3)), range(200), strict=False)
    ]
    assert len(set(few)) == 200
    again = draw(pattern, slots, random.Random(3))
    assert few == [next(again).text for _ in few]


@pytest.mark.parametrize(("text", "message"), [
    ("come {verbo la cosa", r"case 1: '\{' at letter 6 .* is never closed.*Write the missing '\}'"),
    ("come [per favore", r"'\[' at letter 6 .* never closed"),
    ("(a|b", r"'\(' at letter 1 .* never closed"),
    ("ciao}", "'}' closes nothing at letter 5"),
    ("a {} b", r"'\{\}' is no slot"),
    ("{verb}", "no slot 'verb'.*did you mean 'verbo'"),
])  # fmt: skip
def test_a_broken_pattern_is_named_with_the_letter(text, message):
    with pytest.raises(RecipeError, match=message):
        parse(text, SLOTS, where="case 1")


def test_people_type_without_accents_and_signs():
    rng = random.Random(0)
    assert "".join(no_accents("È già lì: perché così?", rng)) == "E' gia' li': perche' cosi'?"
    assert "".join(no_accents("perche\u0301 ñandú", rng)) == "perche' nandu'"
    assert "".join(no_punctuation("«Dov'è?», disse... 3,50 €!", rng)) == "Dov'è disse 3,50 €"


def test_a_typo_changes_one_letter_and_never_the_first():
    text = "Vorrei RESTITUIRE 12345 scarpe"
    for seed in range(50):
        other = typo(text, random.Random(seed))
        changed = [i for i, (a, b) in enumerate(zip(text, other, strict=True)) if a != b]
        assert len(changed) == 1
        assert text[changed[0] - 1].isalpha()
        assert other[changed[0]].isupper() == text[changed[0]].isupper()
    assert "".join(typo("12 è no", random.Random(0))) == "12 è no"


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.parametrize("text", ["", "?!", "è", "ß İ 😀"])
def test_a_surface_says_of_any_text_what_becomes_of_each_letter(name, text):
    assert len(SURFACES[name](text, random.Random(0))) == len(text)
