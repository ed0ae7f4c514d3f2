"""Words and tags: what is found in a text, and which sequences of tags can be answered."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fucina.models.tags import best_path, marks, tag_names, to_spans, to_tags, word_bounds
from fucina.records import Span

TYPES = ("LOC", "PER")


@given(st.text(max_size=40))
def test_words_stand_apart_in_order_and_leave_out_nothing_but_spaces(text):
    bounds = word_bounds(text)
    assert all(begin < end for begin, end in bounds)
    assert all(one[1] <= other[0] for one, other in pairwise(bounds))
    left = "".join(
        text[a:b]
        for a, b in zip(
            [0, *(e for _, e in bounds)], [*(b for b, _ in bounds), len(text)], strict=True
        )
    )
    assert not left.strip()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dell'Università", ["dell", "'", "Università"]),
        ("(S.p.A.)", ["(", "S", ".", "p", ".", "A", ".", ")"]),
        ("e\u0300 qui", ["e\u0300", "qui"]),
        ("\u0926\u093f\u0932\u094d\u0932\u0940 \u092e\u0947\u0902", ["\u0926\u093f\u0932\u094d\u0932\u0940", "\u092e\u0947\u0902"]),
        ("\u5317\u4eac", ["\u5317", "\u4eac"]),
        ("@anna #Roma", ["@", "anna", "#", "Roma"]),
    ],
)  # fmt: skip
def test_words_of_many_scripts(text, words):
    assert [text[a:b] for a, b in word_bounds(text)] == words


def _brute(scores):
    """The best allowed path by trying all of them."""
    names, best, found = tag_names(TYPES), -np.inf, None
    for path in product(range(len(names)), repeat=len(scores)):
        before = "O"
        for tag in path:
            if names[tag][0] == "I" and before[2:] != names[tag][2:]:
                break
            before = names[tag]
        else:
            total = sum(scores[i, tag] for i, tag in enumerate(path))
            if total > best:
                best, found = total, path
    return list(found)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_best_path_is_the_best_of_all_that_are_allowed(seed, words):
    scores = np.random.default_rng(seed).normal(size=(words, 5))
    assert best_path(scores[None])[0].tolist() == _brute(scores)


def test_shorter_texts_are_not_moved_by_longer_ones_beside_them():
    rng = np.random.default_rng(0)
    odds = [rng.dirichlet(np.ones(5), size=n) for n in (7, 2, 0, 4)]
    bounds = [
        np.array([(2 * i, 2 * i + 1) for i in range(len(own))]).reshape(-1, 2) for own in odds
    ]
    together = marks(odds, bounds, TYPES)
    for row in range(4):
        alone = marks([odds[row]], [bounds[row]], TYPES)
        assert together[0][row] == alone[0][0]
        assert together[1][row] == alone[1][0]


@given(st.integers(0, 5000))
def test_spans_of_whole_words_come_back_as_they_are(seed):
    rng = np.random.default_rng(seed)
    text = " ".join("parola"[: rng.integers(1, 7)] for _ in range(12))
    bounds = word_bounds(text)
    spans, place = [], 0
    while place < len(bounds):
        size = int(rng.integers(1, 4))
        if rng.random() < 0.5 and place + size <= len(bounds):
            spans.append(
                Span(bounds[place][0], bounds[place + size - 1][1], str(rng.choice(TYPES)))
            )
        place += size
    assert list(to_spans(to_tags(spans, bounds, TYPES), bounds, TYPES)) == spans


def test_two_spans_that_share_a_word_are_both_marked():
    bounds = word_bounds("Roma-Lazio ok")  # three words and one
    spans = [Span(0, 4, "LOC"), Span(5, 10, "LOC")]
    assert to_tags(spans, bounds, TYPES).tolist() == [1, 0, 1, 0]
    half = [Span(0, 2, "LOC"), Span(2, 10, "PER")]  # both inside the first word
    assert to_tags(half, bounds, TYPES).tolist() == [1, 3, 4, 0]


def test_how_sure_a_span_is_is_its_least_sure_word():
    odds = np.array([[0.1, 0.05, 0.05, 0.7, 0.1], [0.2, 0.1, 0.1, 0.1, 0.5], [0.9, 0.1, 0, 0, 0]])
    spans, sure = marks([odds], [np.array([(0, 1), (2, 3), (4, 5)])], TYPES)
    assert spans[0] == (Span(0, 3, "PER"),)
    assert sure[0] == (0.5,)
