"""ROUGE is that of rouge-score; what summaries are like is counted as it says."""

import csv
import itertools
import json
import random

import pytest

from fucina import flow, reading, run, tasks
from fucina.errors import RecipeError
from fucina.evaluate import TRUE
from fucina.metrics import value_of
from fucina.recipe import load, parse
from fucina.records import Example
from fucina.tasks.settings import refuse_idle
from fucina.tasks.summarization.porter import stem
from fucina.tasks.summarization.rouge import latin_tokens, letter_tokens, rouge
from fucina.tasks.summarization.scores import scores

FOLDER = tasks.folder("summarization")
ENDINGS = (
    "ational tional enci anci izer abli alli entli eli ousli ization ation ator alism iveness fulness ousness aliti "
    "iviti biliti fulli logi icate ative alize iciti ical ful ness ance ence er ic able ible ant ement ment ent ion "
    "ou ism ate iti ous ive ize ed ing eed ied ies sses s y ll e at bl iz"
).split()


def _sample():
    lines = [
        (FOLDER / name).read_text("utf-8").splitlines() for name in ("sample.jsonl", "test.jsonl")
    ]
    return [json.loads(line) for part in lines for line in part]


def _pairs():
    """Texts as they come: whole dialogues, summaries of others, several lines, none, odd letters."""
    rows = _sample()
    near = [(row["dialogue"], row["summary"]) for row in rows]
    far = [(a["summary"], b["summary"]) for a, b in itertools.pairwise(rows)]
    long = [(a["dialogue"], b["dialogue"]) for a, b in itertools.pairwise(rows)]
    odd = [("", ""), ("a", ""), ("", "a"), ("é", "è"), ("\n\n", "x"), ("İstanbul Ürün", "istanbul"),
           ("uno due\nuno due tre", "tre uno\n\ndue uno due"), ("sì " * 9, "si sì")]  # fmt: skip
    return near + far + long + odd


def test_rouge_is_that_of_the_library_to_the_last_digit():
    scorer = pytest.importorskip("rouge_score.rouge_scorer")
    names = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    library = scorer.RougeScorer(names, use_stemmer=True)
    for answer, target in _pairs():
        expected = library.score(target, answer)
        found = rouge(answer, target)
        assert [found[name] for name in names] == pytest.approx(
            [expected[name].fmeasure for name in names], abs=1e-12
        )


def test_stems_are_those_of_nltk():
    porter = pytest.importorskip("nltk.stem.porter").PorterStemmer()
    rng = random.Random(5)
    words = {"".join(rng.choices("aeiouybdlnstz", k=rng.randint(0, 4))) + "".join(rng.choices(ENDINGS, k=rng.randint(1, 2)))
             for _ in range(30_000)}  # fmt: skip
    words |= {word for row in _sample() for word in latin_tokens(row["dialogue"])}
    assert not [word for word in words if stem(word) != porter.stem(word)]


# Martin Porter's own examples where NLTK leaves his algorithm as it is, and where it does not.
@pytest.mark.parametrize(("word", "expected"), [
    ("caresses", "caress"), ("ponies", "poni"), ("ties", "tie"), ("agreed", "agre"), ("plastered", "plaster"),
    ("hopping", "hop"), ("falling", "fall"), ("filing", "file"), ("relational", "relat"), ("sky", "sky"), ("enjoy", "enjoy"),
    ("vietnamization", "vietnam"), ("adoption", "adopt"), ("controlling", "control"), ("dying", "die"),
])  # fmt: skip
def test_a_word_is_stemmed(word, expected):
    assert stem(word) == expected


def test_the_library_breaks_italian_words_at_their_accents_and_the_variant_does_not():
    assert latin_tokens("È già così") == ["gi", "cos"]
    assert letter_tokens("È già così") == ["è", "già", "così"]
    # Two words that differ by their accented end alone are one to the library.
    assert rouge("papà", "papi")["rouge1"] == 0
    assert rouge("papà", "papò")["rouge1"] == 1
    assert rouge("papà", "papò", letter_tokens)["rouge1"] == 0


def test_each_row_has_its_own_rouge_and_the_score_is_their_mean():
    rows = [Example("A: sì", "uno due tre"), Example("A: no", "quattro cinque")]
    marks = scores(["uno due tre", "sei"], rows)
    assert marks["rougeL"].gained.tolist() == [1, 0]
    assert value_of(marks["rougeL"]) == 0.5


def test_copied_new_and_repeated_words_are_counted():
    row = Example("Ada: vieni a cena da noi stasera\nUgo: volentieri", "Ugo va a cena.")
    marks = scores(["vieni a cena vieni a cena domani"], [row])
    assert value_of(marks["copy_rate"]) == 2 / 5  # of vieni-a-cena twice and three others
    assert value_of(marks["novel_words"]) == 1 / 7
    assert value_of(marks["novel_bigrams"]) == 2 / 6
    assert value_of(marks["repeated_trigrams"]) == 1 / 5
    assert value_of(marks["length_ratio"]) == 7 / 4


def test_an_empty_summary_scores_nothing_and_breaks_nothing():
    marks = scores([""], [Example("A: sì", "uno")])
    assert {value_of(mark) for name, mark in marks.items() if name != "novel_words"} == {0.0}


def test_what_describes_is_no_goal():
    text = "{task: summarization, name: a, data: {train: a}, evaluation: {goals: {copy_rate: 0.2}}}"
    with pytest.raises(RecipeError) as caught:
        refuse_idle(parse(text)[0])
    assert "copy_rate" in caught.value.problem
    assert "what answers are like" in caught.value.fix


def test_baselines_are_turns_of_the_dialogue():
    own = tasks.get("summarization").judging.baselines
    row = Example("A: uno\nB: due parole\nA: tre\nB: e ora quattro parole\nA: in fine tre", "")
    assert own["lead_3"]([], [row]) == ["A: uno\nB: due parole\nA: tre"]
    assert own["longest_3"]([], [row]) == ["B: due parole\nB: e ora quattro parole\nA: in fine tre"]


def test_a_run_says_what_summaries_are_like_beside_the_true_ones(make_decoder, tmp_path):
    recipe, _ = load(FOLDER / "recipe.yaml", [
        f"model.base={make_decoder('llama')}", f"output={tmp_path}", "chat.max_new_tokens=8",
        "training.epochs=1", "evaluation.bootstrap_samples=100", "adapter.rank=2", 
    ])  # fmt: skip
    outcome = flow.train(recipe, FOLDER)
    assert {"lead_3", "longest_3", "base"} == {baseline.name for baseline in outcome.baselines}
    true = outcome.model.beside[TRUE]
    assert set(true) == set(tasks.get("summarization").judging.descriptive)
    assert true["length_ratio"].value == 1
    assert set(outcome.model.beside["base"]) == set(true)
    folder = run.find(tmp_path / recipe.name)
    rows = list(csv.DictReader((folder / "metrics.csv").read_text("utf-8").splitlines()))
    assert {"rouge1", "rouge2", "rougeL", "rougeLsum"} <= {
        row["metric"] for row in rows if row["model"] == "model"
    }
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows)
    page = (folder / "report.html").read_text("utf-8")
    assert page.count("copy rate") == 1  # not among the scores, which have a better and a worse


@pytest.mark.parametrize(
    ("suffix", "columns"), [("json", ""), ("csv", ""), ("csv", "section_text")]
)
def test_public_formats_are_read(suffix, columns, tmp_path):
    row = {"id": 1, "dialogue": "A: sì\r\nB: no\r\n\r\n", columns or "summary": "Niente."}
    if suffix == "json":
        (tmp_path / "a.json").write_text(json.dumps([row]), encoding="utf-8")
    else:
        with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, row)
            writer.writeheader()
            writer.writerow(row)
    mapped = f", columns: {{summary: {columns}}}" if columns else ""
    recipe, _ = parse(f"{{task: summarization, name: a, data: {{train: a{mapped}}}}}")
    example = reading.read_file(recipe, tmp_path / f"a.{suffix}").examples[0]
    assert (example.prompt, example.target) == ("A: sì\nB: no", "Niente.")
