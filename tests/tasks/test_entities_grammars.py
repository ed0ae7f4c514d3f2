"""Written entities held to a grammar: types that training has, names that stand in the text."""

import json

import pytest

from fucina import tasks
from fucina.config import AdapterConfig
from fucina.models.build import build
from fucina.models.constrain import Held
from fucina.models.scratch import tokenizer_of
from fucina.models.template import open_template
from fucina.models.writer import Writer
from fucina.records import Example

pytest.importorskip("llguidance")

FORMS = ("entities.text", "entities.json")
ODD = 'Ugo: "Il \\Sole"; poi {Bari}/due\n\tLʼalba ~ "'


def _rows(form, spans, text=ODD):
    return tasks.get(form).to_example({"text": text, "spans": json.dumps(spans)})


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


def _held(form, train):
    template = open_template(tokenizer_of([ODD, "PER ORG"]))
    return Held(lambda rows: tasks.get(form).choices.grammars["names"](train, rows), template)


def test_right_answers_fit_whatever_stands_in_the_text(form):
    train = [
        _rows(form, [[0, 3, "PER"], [5, 15, 'A"/1'], [22, 26, "LOC"]]),
        _rows(form, [[5, 20, "LOC"]]), _rows(form, []), _rows(form, [[33, 39, "LOC"]]),
    ]  # fmt: skip
    assert ";" in train[1].target
    assert _held(form, train).misfits(train) == []


def test_other_types_other_names_and_more_than_ever_do_not_fit(form):
    train = [_rows(form, [[0, 3, "PER"], [22, 26, "LOC"]])]
    put = {"entities.text": lambda pairs: "; ".join(f"{a}: {b}" for a, b in pairs),
           "entities.json": lambda pairs: json.dumps([{a: b} for a, b in pairs])}[form]  # fmt: skip
    wrong = [put(pairs) for pairs in (
        [("ORG", "Ugo")], [("PER", "Ada")], [("PER", "Ug")], [("PER", "")], [("PER", " ")],
        [("LOC", "Bari "),], [("PER", "Ugo"), ("LOC", "Bari"), ("LOC", "due")],
    )]  # fmt: skip
    rows = [Example(ODD, answer) for answer in [*wrong, put([("LOC", "due"), ("PER", "Ugo")])]]
    assert [row.target for row in _held(form, train).misfits(rows)] == wrong


def test_nothing_to_name_leaves_the_answer_that_says_so(form):
    none = {"entities.text": "-", "entities.json": "[]"}[form]
    for train, text in (([_rows(form, [])], ODD), ([_rows(form, [[0, 3, "PER"]])], "  ")):
        assert _held(form, train).misfits([Example(text, none)]) == []
        assert len(_held(form, train).misfits([Example(text, "PER: Ugo")])) == 1


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_random_model_keeps_the_form_only_where_it_is_held(kind, form, load_decoder, pool):
    base = load_decoder(kind)
    train = [_rows(form, [[0, 3, "PER"], [22, 26, "LOC"]])]
    rows = [
        _rows(form, [], f"Domani Ada vede il mare da {city}") for city in ("Bari", "Pisa", "Susa")
    ]
    held = Held(
        lambda asked: tasks.get(form).choices.grammars["names"](train, asked), base.template
    )
    stack = build(
        base, AdapterConfig(kind="head"), members=1, labels=0, seed=0, workers=2, whole=True
    )
    valid = {}
    for name, by in (("free", None), ("held", held)):
        said = Writer(base, (stack,), 120, by).predict(rows, threads=pool, foretell=False)
        scores = tasks.get(form).judging.scores(said.answers, rows)
        valid[name] = scores["valid_form"].gained.tolist()
        assert by is None or said.ended.all()
    assert valid == {"free": [0, 0, 0], "held": [1, 1, 1]}


def test_a_long_text_does_not_overflow_the_library(form):
    text = "Ugo vede Bari e poi torna a casa sua. " * 1500
    train = [_rows(form, [[0, 3, "PER"]], text)]
    assert _held(form, train).misfits(train) == []
