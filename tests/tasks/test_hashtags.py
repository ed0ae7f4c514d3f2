"""Hashtags: how tags are read, counted, and given without a model."""

import csv

import pytest

from fucina import data, tasks
from fucina.metrics import value_of
from fucina.records import Example
from fucina.tasks.hashtags.baselines import frequent, keywords, nearest
from fucina.tasks.hashtags.scores import read_tags, scores


@pytest.mark.parametrize(("text", "tags"), [
    ("#pane #forno", ["#pane", "#forno"]),
    ("Ecco i tag: #pane, #forno!", ["#pane", "#forno"]),
    ('["pane", "#forno"]', ["#pane", "#forno"]),
    ("pane, forno caldo", ["#pane", "#fornocaldo"]),
    ("#Città #citta #CITTA", ["#Città"]),
    ("[rotto #pane", ["#pane"]),
    ("####  # !", []),
    ("", []),
])  # fmt: skip
def test_tags_are_read_as_people_write_them(text, tags):
    assert read_tags(text) == tags


def _values(answers, targets):
    rows = [Example("", target) for target in targets]
    return {name: value_of(ratio) for name, ratio in scores(answers, rows).items()}


def test_counts_are_of_all_rows_together():
    found = _values(["#a #b #c", "#d"], ["#a #x", "#d #e #f"])
    assert found["precision"] == pytest.approx(2 / 4)
    assert found["recall"] == pytest.approx(2 / 5)
    assert found["f1"] == pytest.approx(4 / 9)
    assert found["precision_at_1"] == 1
    assert found["precision_at_3"] == pytest.approx((1 / 3 + 1 / 3) / 2)


def test_case_accents_and_repetitions_do_not_count():
    assert _values(["#CITTA #città #Cucina_Italiana"], ["#città #CucinaItaliana"])["f1"] == 1


def test_an_answer_without_tags_scores_nothing():
    assert _values(["non so", ""], ["#a", "#b"])["f1"] == 0


def test_baselines_answer_from_the_training_rows_alone():
    train = [
        Example("Pane caldo stamattina al forno", "#pane #forno"),
        Example("Pane e pizza al taglio", "#pane #pizza"),
        Example("Concerto jazz in piazza", "#jazz #musica"),
    ]
    rows = [Example("Domani concerto di jazz", "#jazz"), Example("Il pane del forno", "#pane")]
    assert frequent(train, rows)[0].startswith("#pane")
    assert nearest(train, rows) == ["#jazz #musica", "#pane #forno"]
    assert keywords(train, rows)[0] == "#domani #concerto"  # the rarest words of the post


def test_lists_in_json_and_text_in_csv_are_the_same_rows(tmp_path):
    own = tasks.folder("hashtags") / "sample.jsonl"
    task = tasks.get("hashtags")
    rows = data.load(own, task, {})
    path = tmp_path / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "hashtags"])
        writer.writerows([row.prompt, row.target] for row in rows.examples)
    again = data.load(path, task, {})
    assert (again.prompts, again.targets) == (rows.prompts, rows.targets)
