"""A listener tells a persona's answers from others by how they are said, not by how long they are."""

import numpy as np
import pytest

from fucina import data, tasks
from fucina.evaluate import lines_of, listen
from fucina.evaluate.voice import auc

WORDS = (
    "il mare grosso vento barca molo faro lampada notte nebbia scoglio rete porto onda sale".split()
)


def _said(rng, count, low, high):
    """Answers of words drawn alike, as many as between low and high; all questions differ."""
    return [(f"{rng.integers(10**9)}", " ".join(rng.choice(WORDS, rng.integers(low, high))))
            for _ in range(count)]  # fmt: skip


def test_a_manner_is_heard_and_the_length_is_not_what_tells():
    rng = np.random.default_rng(1)
    hers = [(q, f"{said}, figliolo") for q, said in _said(rng, 60, 5, 15)]
    voice = listen(hers, _said(rng, 60, 6, 16), seed=0, samples=200)
    assert voice.auc.low > 0.95
    assert voice.length_auc.low < 0.5 < voice.length_auc.high + 0.1
    assert voice.takes_for_hers(
        ["il vento di notte, figliolo", "il vento di notte", "", " … "]
    ).tolist() == [True, False, False, False]


def test_where_only_lengths_differ_length_hears_as_much():
    rng = np.random.default_rng(2)
    voice = listen(_said(rng, 60, 3, 6), _said(rng, 60, 20, 40), seed=0, samples=200)
    assert voice.length_auc.value > 0.95


def test_where_nothing_differs_nothing_is_heard():
    rng = np.random.default_rng(3)
    voice = listen(_said(rng, 80, 5, 15), _said(rng, 80, 5, 15), seed=0, samples=200)
    assert voice.auc.low < 0.5 < voice.auc.high + 0.1
    assert voice.mistaken.value > 0.2


def test_answers_to_one_question_are_never_on_both_sides_of_a_fold():
    """Each side answers by naming the question: heard within folds of rows, unheard in those of questions."""
    rng = np.random.default_rng(4)
    topics = [f"{rng.integers(10**9)}" for _ in range(40)]
    hers = [(topic, f"{topic} {topic}a risposta {n}") for topic in topics[:20] for n in range(3)]
    others = [(topic, f"{topic} {topic}a risposta {n}") for topic in topics[20:] for n in range(3)]
    assert listen(hers, others, seed=0, samples=200).auc.low < 0.6


def test_few_answers_are_not_listened_to():
    few = [(f"q{n}", "sì") for n in range(9)]
    assert listen(few, few * 3, seed=0) is None
    one_question = [("q", f"sì {n}") for n in range(30)]
    assert listen(one_question, one_question, seed=0) is None


def test_the_persona_of_the_sample_is_heard_on_its_test_rows():
    folder, chat = tasks.folder("chat"), tasks.get("chat")
    train, test, strange = (
        lines_of(data.load(folder / name, chat, {}).examples)
        for name in ("sample.jsonl", "test.jsonl", "others.jsonl")
    )
    asked = {question for question, _ in test}
    voice = listen(train, [line for line in strange if line[0] not in asked], seed=13, samples=200)
    assert voice.auc.low > 0.9
    assert voice.length_auc.high < 0.7
    hers = voice.takes_for_hers([answer for _, answer in test]).mean()
    others = voice.takes_for_hers(
        [answer for question, answer in strange if question in asked]
    ).mean()
    assert hers > 0.75 > 0.25 > others


@pytest.mark.parametrize(("scores", "mine", "expected"), [
    ([3.0, 2.0, 1.0], [1, 1, 0], 1.0), ([1.0, 2.0], [1, 0], 0.0), ([1.0, 1.0], [1, 0], 0.5), ([1.0, 2.0], [1, 1], 0.5),
])  # fmt: skip
def test_auc_counts_pairs(scores, mine, expected):
    assert auc(np.array(scores), np.array(mine, dtype=bool)) == expected
