from pathlib import Path

import pytest

from fucina.answering import ask
from fucina.config import SearchConfig
from fucina.library import index_documents, open_library
from fucina.records import Message
from fucina.retrieval.following import by_own_words, leans, topic_of

EXAMPLE = Path(__file__).parents[2] / "examples/persona"
PENS = "Dove compra Nerina le penne che non colano?"
SKINS = "Come si lavano le pelli di daino?"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The persona's memory with the embedded encoder."""
    place = tmp_path_factory.mktemp("memory") / "index"
    index_documents(place, [EXAMPLE / "memory", EXAMPLE / "famiglia", EXAMPLE / "ripresa.md"])
    with open_library(place) as opened:
        yield opened


def said(*questions):
    turns = [(Message("user", q), Message("assistant", "Ecco.")) for q in questions]
    return [turn for pair in turns for turn in pair]


def test_a_follow_up_says_little_and_another_question_does_not(library):
    assert leans("e quanto costano?", PENS, library.searcher)
    assert leans("e dopo?", PENS, library.searcher)
    assert not leans(SKINS, PENS, library.searcher)


def test_the_topic_is_the_last_question_that_stood_by_itself(library):
    assert topic_of([], library.searcher) == ""
    assert topic_of([PENS, "e quanto costano?"], library.searcher) == PENS
    assert topic_of([PENS, "e quanto costano?", SKINS, "e dove?"], library.searcher) == SKINS


@pytest.mark.parametrize(
    ("before", "question", "answer"),
    [
        ([PENS], "e quanto costano?", "2 euro e 80"),
        ([PENS, "e quante ne finisce?"], "e quanto costano?", "2 euro e 80"),
        ([SKINS], "e dove si asciugano?", "all'ombra"),
    ],
)
def test_a_follow_up_is_found_by_the_question_before_it(library, before, question, answer):
    found = ask(library, question, SearchConfig(), history=said(*before))
    assert found.searched == f"{before[0]} {question}"
    assert found.question == question
    assert any(answer in hit.chunk.text for hit in found.hits)
    assert any(answer in quote.text for quote in found.quotes)


def test_without_what_was_said_the_pens_are_not_found(library):
    found = ask(library, "e quanto costano?", SearchConfig())
    assert not any("2 euro e 80" in hit.chunk.text for hit in found.hits)


def test_another_question_is_searched_by_itself(library):
    alone = ask(library, SKINS, SearchConfig())
    after = ask(library, SKINS, SearchConfig(), history=said(PENS))
    assert after == alone


def test_what_is_weak_takes_the_surer_search(library):
    question, before = "Ma perché no alla segreteria?", "A che ora chiude il deposito del gasolio?"
    alone = ask(library, question, SearchConfig(), least=1.0)
    after = ask(library, question, SearchConfig(), least=1.0, history=said(before))
    assert not leans(question, before, library.searcher)
    assert after.searched == f"{before} {question}"
    assert after.sure > alone.sure
    # It stays with its own search where that is not weak, or surer.
    assert (
        ask(library, question, SearchConfig(), least=0.0, history=said(before)).searched == question
    )
    assert ask(library, SKINS, SearchConfig(), least=1.0, history=said(PENS)).searched == SKINS


def test_words_of_the_question_in_front_do_not_make_it_sure(library):
    question = "Quanto dista la luna?"
    hits = library.searcher.search(f"{SKINS} {question}", SearchConfig())
    own = by_own_words(question, hits, library.searcher)
    assert max(hit.coverage for hit in own) < max(hit.coverage for hit in hits)
    assert ask(library, question, SearchConfig(), history=said(SKINS)).weak
