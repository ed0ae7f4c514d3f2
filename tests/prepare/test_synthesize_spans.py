"""Rows with spans from a model: it says the words, and these are looked for in the text."""

import json

import numpy as np
import pytest

from fucina import reading, review, tasks
from fucina.endpoint.replies import read_named
from fucina.errors import DataError, RecipeError
from fucina.recipe import parse
from fucina.synthesized import accept, write_examples

WORDS = (
    "quando torna il vento forte dalla punta vecchia vorrei capire perché nessuna barca esce dal "
    "porto mentre la luce gira ancora sopra gli scogli neri della costa oppure dovrei aspettare"
).split()
NAMES = {"PER": ["Niccolò Serè", "Ada Pò", "Zoë Nèri"], "LOC": ["Forlì", "Cefalù", "Bari"]}


def _sentences(count, seed):
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        person, place = NAMES["PER"][number % 3], NAMES["LOC"][number // 3 % 3]
        words = list(rng.choice(WORDS, size=8, replace=False))
        text = " ".join([person, *words[:5], "a", place, *words[5:]]) + "."
        made.append((text, [("PER", person), ("LOC", place)]))
    return made


def _placed(text, named):
    return {"text": text, "spans": [[text.index(n), text.index(n) + len(n), k] for k, n in named]}


def _worded(text, named):
    return {"text": text, "spans": [{"text": name, "label": kind} for kind, name in named]}


TRAIN, TEST, NEW = _sentences(18, 1), _sentences(6, 2), _sentences(120, 3)
PROMPTS = [{"name": "porto", "prompt": "{rows} frasi di gente del porto: {examples}", "rows": 6}]


@pytest.fixture
def folder(tmp_path):
    for name, rows in (("train", TRAIN), ("test", TEST)):
        lines = [json.dumps(_placed(*row), ensure_ascii=False) + "\n" for row in rows]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def _recipe(endpoint, *overrides, task="entities", prompts=PROMPTS):
    section = {"url": endpoint.url, "model": "m", "rows_per_request": 3, "prompts": prompts,
               "requests_at_once": 1}  # fmt: skip
    data = {"train": "train.jsonl", "test": "test.jsonl"}
    return parse(
        json.dumps({"task": task, "name": "a", "synthesis": section, "data": data}), overrides
    )[0]


def _rows(folder, task="entities"):
    return review.read(folder / "a.review.jsonl", tasks.get(task))


@pytest.mark.parametrize("form", ["entities", "entities.text", "entities.json"])
def test_words_wait_in_the_review_file_and_get_their_places_when_accepted(form, endpoint, folder):
    endpoint.texts = [_worded(*row) for row in NEW]
    recipe = _recipe(endpoint, task=form)
    (written,) = write_examples(recipe, folder, "")
    assert (written.waiting, written.problem) == (6, "")
    told = endpoint.requests[0]["messages"][0]["content"]
    assert '{"rows": [{"text": "...", "spans": [{"text": "...", "label": "..."}]}]}' in told
    assert "one of these labels: LOC, PER;" in told
    shown = endpoint.requests[0]["messages"][1]["content"]
    assert '"spans": [{"text": "' in shown
    assert all(row["text"] not in shown for row in (_worded(*one) for one in TEST))
    rows = _rows(folder, form)
    kept = [row for row in rows if row.status == "waiting"]
    assert all(dict(row.fields) in [_worded(*one) for one in NEW] for row in kept)
    done = accept(recipe, folder)
    assert (done.train, done.accepted) == (18, 6)
    lines = [json.loads(line) for line in done.path.read_text("utf-8").splitlines()][18:]
    wanted = {text: named for text, named in NEW}
    for line in lines:
        found = [(s["label"], line["text"][s["start"] : s["end"]]) for s in line["spans"]]
        assert found == wanted[line["text"]]
        assert line["group"] == line["origin"] == "synthetic:m:porto"
    again = _recipe(endpoint, "data.train=a.accepted.jsonl", "data.group=group", task=form)
    split, _ = reading.read(again, folder)
    assert len(split.development) == 24


def test_rows_whose_spans_are_not_sure_are_refused(endpoint, folder):
    good = "Zoë Nèri vorrei capire ancora perché la luce gira sopra gli scogli a Forlì"
    bad = {
        "unusable: 'Ada Po' does not stand": (NEW[1][0], [("PER", "Ada Po"), ("LOC", "Forlì")]),
        "unusable: 'Bari' stands 2 times": ("Da Bari la barca vecchia torna ancora a Bari oggi, dice lei.", [("LOC", "Bari")]),
        "unusable: 'Bar' stands only inside": ("La barca vecchia dal porto torna ancora a Bari quando gira.", [("PER", "Bar")]),
        "unusable: 'Bari' is given as LOC and as PER": ("La barca vecchia dal porto va a Bari oppure torna da Bari?", [("LOC", "Bari"), ("PER", "Bari")]),
        "unknown type: BARCA": ("La Rondine esce dal porto quando il vento gira dalla punta.", [("BARCA", "Rondine")]),
        "not marked: Forlì is LOC 6 times": (good, [("PER", "Zoë Nèri")]),
        "nearly held out: test.jsonl:1": (TEST[0][0].upper(), []),
        "nearly in train: train.jsonl:2": (TRAIN[1][0] + "!", TRAIN[1][1]),
        "personal data: e-mail": ("Scrivi ad ada.po@posta.it quando torna la barca dal porto.", []),
    }  # fmt: skip
    loose = [{"text": NEW[4][0]}, {"text": NEW[5][0], "spans": "Ada Pò"}]
    endpoint.script = [[*(_worded(*row) for row in bad.values()), *loose]]
    endpoint.texts = [_worded(*row) for row in NEW[20:]]
    write_examples(_recipe(endpoint), folder, "")
    rows = _rows(folder)
    refused = [row.why for row in rows if row.status == "refused"]
    for why, wanted in zip(refused, bad, strict=False):
        assert why.startswith(wanted)
    assert refused[len(bad) :][:2] == ["unusable: what is marked is not listed"] * 2
    assert sum(row.status == "waiting" for row in rows) == 6


def test_what_is_sure_is_no_reason_to_refuse(endpoint, folder):
    """Words twice and given twice, a name in a name, a sentence without any, letters apart."""
    good = [
        ("Da Bari la barca vecchia torna ancora a Bari oggi.", [("LOC", "Bari"), ("LOC", "Bari")]),
        ("Ada Pò del Bari Club resta al porto e non va a Bari.", [("PER", "Ada Pò"), ("PER", "Bari Club"), ("LOC", "Bari")]),
        ("Nessuna barca esce dal porto mentre gira il vento.", []),
    ]  # fmt: skip
    rows = [_worded(*row) for row in good]
    rows[1]["spans"] = {"per": ["Ada Pò", "Bari Club"], "LOC": "Bari"}  # as models write it too
    rows[0]["spans"] = [{**span, "start": 99, "end": 3} for span in rows[0]["spans"]]
    apart = "Zoe\u0308 Ne\u0300ri aspettare oppure sopra gli scogli neri della costa, perché."
    rows.append({"text": apart, "spans": [{"text": "Zoë Nèri", "type": "PER"}]})
    endpoint.script = [rows]
    endpoint.texts = [_worded(*row) for row in NEW]
    recipe = _recipe(endpoint)
    write_examples(recipe, folder, "")
    assert [row.status for row in _rows(folder)[:4]] == ["waiting"] * 4
    accept(recipe, folder)
    found = reading.read_file(recipe, folder / "a.accepted.jsonl").examples[18:22]
    named = [[(s.label, row.prompt[s.start : s.end]) for s in row.spans] for row in found]
    assert named[0] == good[0][1]
    assert sorted(named[1]) == sorted(good[1][1])
    assert named[2:] == [[], [("PER", "Zoë Nèri")]]


def test_a_person_edits_words_and_a_slip_is_named_with_its_line(endpoint, folder):
    endpoint.texts = [_worded(*row) for row in NEW]
    recipe = _recipe(endpoint)
    write_examples(recipe, folder, "")
    path = folder / "a.review.jsonl"
    before = path.read_text("utf-8")
    for old, new, said in (
        ('"label": "PER"', '"label": "PET"', "no row of train has the type 'PET'"),
        ('{"text": "', '{"text": "don ', "'don .* does not stand in the text"),
    ):
        path.write_text(before.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(DataError, match=f"line 1: .*{said}"):
            accept(recipe, folder)
        assert not (folder / "a.accepted.jsonl").exists()


def test_a_prompt_for_a_label_is_refused(endpoint, folder):
    prompts = [{"label": "PER", "prompt": "Frasi", "rows": 3}]
    with pytest.raises(RecipeError, match=r"synthesis.prompts.label=PER does nothing"):
        write_examples(_recipe(endpoint, prompts=prompts), folder, "")


@pytest.mark.parametrize("value", [None, "", "Ada", [["Ada", "PER"]], [{"text": 3, "label": "PER"}], ["Ada"]])  # fmt: skip
def test_what_lists_no_words_with_types_is_told_from_none(value):
    assert read_named(value, ["PER"]) is None
    assert read_named([], ["PER"]) == []
