import json
from pathlib import Path

import numpy as np
import pytest

from fucina.config import SearchConfig
from fucina.errors import DataError
from fucina.examining import examine
from fucina.library import index_documents, open_library
from fucina.records import Chunk, Hit
from fucina.retrieval import SHIPPED, calibrated
from fucina.retrieval.judging import Known, holds, overlap, ranking_scores, read_known, same

EXAMPLE = Path(__file__).parents[2] / "examples/persona"


def hit(path, text, nearness=0.5, coverage=0.5):
    chunk = Chunk((), text, 1, 1, 3)
    return Hit(path, path, chunk, "line", "", (), 1.0, nearness, coverage)


def test_questions_are_read_with_answers_files_or_neither(tmp_path):
    path = tmp_path / "q.jsonl"
    rows = [
        {"question": "a?", "answer": "sì", "file": "x.md"},
        {"question": "b?", "answers": ["uno", "due"], "kind": "k"},
        {"question": "c?"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    one, two, three = read_known(path, group="kind")
    assert (one.answers, one.files, one.answerable) == (("sì",), {"x.md"}, True)
    assert (two.answers, two.group) == (("uno", "due"), "k")
    assert not three.answerable
    path.write_text('{"domanda": "a?"}\n', "utf-8")
    with pytest.raises(DataError, match="line 1: no question; it has"):
        read_known(path)


def test_judgments_of_trec_choose_the_questions(tmp_path):
    (tmp_path / "q.csv").write_text("id,question\n1,a?\n2,b?\n3,c?\n", "utf-8")
    qrels = tmp_path / "qrels"
    qrels.write_text("1 0 d1 2\n1 0 d2 -1\n2 0 d3 0\n3 0 d1 1\n", "utf-8")
    found = read_known(tmp_path / "q.csv", qrels)
    assert [(k.question, k.files) for k in found] == [("a?", {"d1"}), ("c?", {"d1"})]
    qrels.write_text("1 d1\n", "utf-8")
    with pytest.raises(DataError, match="line 1: 2 fields"):
        read_known(tmp_path / "q.csv", qrels)


def test_a_chunk_counts_by_file_and_answer():
    known = Known("?", ("seicento litri",), frozenset({"sotto/b.md"}))
    assert holds(hit("carte/sotto/b.md", "Seicento\nlitri, adesso."), known)
    assert not holds(hit("carte/a.md", "seicento litri"), known)
    assert not holds(hit("carte/sotto/b.md", "quattrocento litri"), known)
    assert holds(hit("x/d1.txt", "…"), Known("?", (), frozenset({"d1"})))


def test_a_list_counts_by_its_first_chunk_with_the_answer():
    known = Known("?", ("sì",), frozenset())
    found = [hit("a.md", "no"), hit("b.md", "sì"), hit("c.md", "sì")]
    scores = ranking_scores([found], [known])
    assert scores["recall@1"].tolist() == [0]
    assert scores["recall@5"].tolist() == [1]
    assert scores["MRR"].tolist() == [0.5]
    assert scores["nDCG@10"][0] == pytest.approx(1 / np.log2(3))


def test_a_list_counts_by_files_where_only_they_are_known():
    known = Known("?", (), frozenset({"a", "c"}))
    found = [hit("a.md", "1"), hit("a.md", "2"), hit("b.md", "3"), hit("c.md", "4")]
    scores = ranking_scores([found], [known])
    # The second chunk of a file is no second place.
    assert scores["nDCG@10"][0] == pytest.approx((1 + 0.5) / (1 + 1 / np.log2(3)))
    assert scores["recall@1"].tolist() == [1]


def test_answers_are_compared_without_case_signs_and_articles():
    known = Known("?", ("l'olio", "due"), frozenset())
    assert same("L'olio!", known)
    assert same("Olio", known)
    assert not same("olio e altro", known)
    assert overlap("olio e altro", known) == pytest.approx(0.5)
    assert overlap("niente", known) == 0


def test_trust_is_learnt_and_orders_questions():
    found = [
        [hit("a", "x", near, cover)]
        for near in (0.1, 0.2, 0.6, 0.7)
        for cover in (0.1, 0.2, 0.8, 0.9)
    ]
    answered = [hits[0].nearness + hits[0].coverage > 0.9 for hits in found]
    trust = calibrated(found * 2, answered * 2)
    sure = [trust.sure(hits) for hits in found]
    right = [s for s, holds_it in zip(sure, answered, strict=True) if holds_it]
    wrong = [s for s, holds_it in zip(sure, answered, strict=True) if not holds_it]
    assert min(right) > max(wrong)
    assert np.mean(sure) == pytest.approx(np.mean(answered), abs=0.05)
    assert trust.questions == 32
    with pytest.raises(DataError, match="0 questions without an answer"):
        calibrated(found, [True] * len(found))


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    """The persona's memory with the embedded encoder."""
    place = tmp_path_factory.mktemp("memory") / "index"
    index_documents(place, [EXAMPLE / "memory", EXAMPLE / "famiglia", EXAMPLE / "ripresa.md"])
    return place


def test_the_persona_s_memory_is_found_and_told_from_what_it_does_not_have(memory):
    known = [
        k
        for k in read_known(EXAMPLE / "questions_test.jsonl", group="wording")
        if k.group == "near"
    ]
    with open_library(memory) as library:
        assert library.trust == SHIPPED
        scores = examine(library, known, SearchConfig())["all"].scores
        words = examine(library, known, SearchConfig(ranking="words"))["all"].scores
    assert scores["recall@5"].value > 0.9
    assert scores["nDCG@10"].value > words["nDCG@10"].value
    assert scores["answered"].value > 0.8
    assert scores["citation has it"].value > 0.7
    assert scores["not in the documents, told so"].value > 0.6


@pytest.mark.long
def test_what_is_learnt_of_trust_is_kept_in_the_index(memory):
    known = read_known(EXAMPLE / "questions_learn.jsonl")
    with open_library(memory) as library:
        examine(library, known, SearchConfig(), calibrate=True)
    with open_library(memory) as library:
        assert library.trust.questions == len(known)
        # What is shipped was learnt like this.
        assert library.trust.nearness == pytest.approx(SHIPPED.nearness, abs=0.06)
        assert library.trust.coverage == pytest.approx(SHIPPED.coverage, abs=0.06)
        assert library.trust.bias == pytest.approx(SHIPPED.bias, abs=0.06)


def test_every_question_of_the_example_is_answered_where_it_says():
    for part in ("learn", "test"):
        rows = (EXAMPLE / f"questions_{part}.jsonl").read_text("utf-8").splitlines()
        for row in map(json.loads, rows):
            if "answer" in row:
                assert row["answer"] in (EXAMPLE / row["file"]).read_text("utf-8"), row
