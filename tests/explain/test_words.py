"""Words of a text, and the text without some of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fucina.errors import DataError
from fucina.explain.question import read
from fucina.explain.words import replaced, share, units, without
from fucina.models.tags import word_bounds

TEXTS = st.text(alphabet="aèZ1_ '’-.,!?\n\t東京нन ि«»😀", max_size=40)


@given(TEXTS)
def test_words_hold_all_that_is_no_space_and_lie_apart(text):
    found = units(text)
    covered = [place for begin, end in found for place in range(begin, end)]
    assert covered == sorted(set(covered))
    assert [i for i, sign in enumerate(text) if not sign.isspace()] == [
        i for i in covered if not text[i].isspace()
    ]


@given(TEXTS, st.randoms(use_true_random=False))
def test_a_stand_in_keeps_the_number_of_words_and_those_that_stay(text, draw):
    words = word_bounds(text)
    kept = np.array([draw.random() < 0.5 for _ in words], dtype=bool)
    said = replaced(text, words, kept)
    after = word_bounds(said)
    assert len(after) == len(words)
    for (begin, end), (a, b), there in zip(words, after, kept, strict=True):
        assert said[a:b] == (text[begin:end] if there else "_")


def test_italian_words_keep_apostrophes_and_accents():
    text = "  Perché l'ordine dell’Anna non c'è più?"
    found = [text[begin:end] for begin, end in units(text)]
    assert found == ["Perché", "l'ordine", "dell’Anna", "non", "c'è", "più?"]


def test_a_text_without_any_word_is_a_stand_in():
    assert without("il pacco", units("il pacco"), np.zeros(2, dtype=bool)) == "_"


def test_a_stretch_over_two_words_is_dealt_by_its_characters():
    values, rest = share(np.array([3.0, 1.0]), [(0, 6), (2, 3)], [(0, 2), (3, 7)])
    assert values.tolist() == pytest.approx([3 * 2 / 5, 3 * 3 / 5])
    assert rest == 1.0


@pytest.mark.parametrize("from_end", [True, False])
def test_a_long_text_is_read_as_far_as_it_fits(from_end):
    text = "uno due tre quattro cinque"
    reading = read(text, lambda part: len(part) <= 12, from_end=from_end)
    said = [reading.text[begin:end] for begin, end in reading.words]
    assert said == (["uno", "due", "tre"] if from_end else ["cinque"])
    assert reading.unread == 5 - len(said)
    assert text[reading.begin :].startswith(reading.text)


def test_a_text_of_which_nothing_is_read_is_refused():
    with pytest.raises(DataError, match="no room"):
        read("uno due", lambda part: len(part) < 2)
    with pytest.raises(DataError, match="no word"):
        read(" \n ", lambda part: True)
