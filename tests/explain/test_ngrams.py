"""What n-grams and forms of words say is dealt to words without a rest."""

import numpy as np
import pytest

from fucina.explain.ngrams import form_shares, ngram_shares
from fucina.models.lexical import Lexicon, Table, counts, learn
from fucina.models.tags import word_bounds
from fucina.models.word_forms import form_rows, learn_forms

TEXTS = [
    "Dov'è l'ordine dell'Anna?  Non c'è   più!",
    "Ὀδυσσεύς ΟΔΟΣ  İstanbul\n\tSTRAẞE",
    "aaaa aaaa  aaaa",
    "東京へ 行く",
]


def _tables(size, labels, members=3):
    rng = np.random.default_rng(0)
    tables = [Table(rng.random(size), rng.normal(size=(size, labels))) for _ in range(members)]
    return [*tables[:-1], None]  # a member without


@pytest.mark.parametrize("text", TEXTS)
def test_shares_of_ngrams_add_up_to_what_the_head_adds(text):
    lexicon = learn(TEXTS)
    tables, slope = _tables(len(lexicon.ngrams), 4), np.array([-0.25, 0.75, -0.25, -0.25])
    rows = counts([text], lexicon)
    whole = sum((table.scores(rows)[0] @ slope for table in tables if table), 0.0) / len(tables)
    signs = ngram_shares(text, lexicon, tables, slope)
    assert len(signs) == len(text)
    assert signs.sum() == pytest.approx(whole, abs=1e-12)
    assert all(signs[i] == 0 for i, sign in enumerate(text) if sign.isspace())


def test_a_text_of_other_letters_has_no_share():
    lexicon = learn(["uno due"])
    assert not ngram_shares("xyz", lexicon, _tables(len(lexicon.ngrams), 2), np.ones(2)).any()
    assert not ngram_shares("xyz", Lexicon(()), [None], np.ones(2)).any()


def test_shares_of_forms_add_up_and_neighbors_get_theirs():
    texts = ["Ieri Giulia Ferri ha chiamato.", "Ieri Anna Rossi ha scritto."]
    bounds = [word_bounds(text) for text in texts]
    lexicon = learn_forms(texts, bounds)
    tables = _tables(len(lexicon.ngrams), 3)
    slopes = np.zeros((len(bounds[0]), 3))
    slopes[1] = [-0.5, 1.0, -0.5]
    rows = form_rows(texts[:1], bounds[:1], lexicon)
    whole = sum(table.scores(rows)[1] @ slopes[1] for table in tables if table) / len(tables)
    found = form_shares(texts[0], bounds[0], lexicon, tables, slopes)
    assert found.sum() == pytest.approx(whole, abs=1e-12)
    assert found[0] != 0  # "Ieri" stands before the word
    assert found[4] == 0  # "chiamato" is too far away


def test_what_a_neighbor_says_is_the_neighbors():
    lexicon = Lexicon(("-1 ieri",))
    table = Table(np.ones(1), np.array([[2.0, 0.0]]))
    slopes = np.array([[0.0, 0.0], [1.0, 0.0]])
    assert form_shares("Ieri Anna", [(0, 4), (5, 9)], lexicon, [table], slopes).tolist() == [2, 0]
