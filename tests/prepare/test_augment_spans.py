"""A case whose answer is spans: slots called like types mark themselves, and offsets are right."""

import json
import re

import pytest

from fucina.augmented import augment
from fucina.errors import RecipeError
from fucina.reading import read_file
from fucina.recipe import parse

TRAIN = [
    ("Ieri Giulia Ferri era a Lucca.", ["PER: Giulia Ferri", "LOC: Lucca"]),
    ("Perché l'Arno sale così?", ["LOC: Arno"]),
    ("Il Comune di Forlì tace.", ["ORG: Comune di Forlì"]),
    ("Domani non piove.", []),
]
TEST = [("Ti aspetto davanti al museo con Niccolò Serè", ["PER: Niccolò Serè"])]
SLOTS = {
    "PER": ["Niccolò Serè", "Ada", "Zoë D'Angiò"],
    "LOC": ["Cefalù", "L'Aquila", "Forlì"],
    "ORG": ["Banca  del\tSerchio"],  # spaces in a value are closed up as everywhere
    "cosa": ["è già lì", "(ride)"],
}
CASES = [
    {"text": "[Uffa, ](chiama|senti) {PER} a {LOC}[, {cosa}]!"},
    {"text": "  {PER} e {PER.2} sono  alla {ORG} "},
    {"text": "Che ore sono[ adesso]?"},
]
FORMS = ["entities", "entities.text", "entities.json"]
NAMES = {kind: [" ".join(name.split()) for name in names] for kind, names in SLOTS.items()}


def _row(text, named):
    spans = [(*part.partition(": "), text.find(part.partition(": ")[2])) for part in named]
    return {"text": text, "spans": [[start, start + len(name), kind] for kind, _, name, start in spans]}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for name, rows in (("train", TRAIN), ("test", TEST)):
        lines = [json.dumps(_row(*row), ensure_ascii=False) + "\n" for row in rows]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def _recipe(*overrides, cases=CASES, slots=SLOTS, task="entities"):
    section = {"slots": slots, "cases": cases, "max_per_case": 500}
    head = {"task": task, "name": "a", "data": {"train": "train.jsonl", "test": "test.jsonl"}}
    return parse(json.dumps({**head, "augment": section}), overrides)[0]


def _made(found):
    return found.rows.examples[len(TRAIN) :]


def _named(row):
    return [(span.label, row.prompt[span.start : span.end]) for span in row.spans]


@pytest.mark.parametrize("form", FORMS)
def test_every_offset_holds_the_value_that_was_filled_in(form, folder):
    found = augment(_recipe(task=form), folder, folder / "out.jsonl")
    made = [row for row in _made(found) if row.origin == "augment.cases.1"]
    assert len(made) == 2 * 2 * 3 * 3 * 3  # one bracket, one choice, two slots, a slot in a bracket
    for row in made:
        person, place = re.fullmatch(r"(?:Uffa, )?(?:chiama|senti) (.+) a (.+?)(?:, .+)?!", row.prompt).groups()  # fmt: skip
        assert person in NAMES["PER"]
        assert place in NAMES["LOC"]
        assert _named(row) == [("PER", person), ("LOC", place)]
    pairs = [row for row in _made(found) if row.origin == "augment.cases.2"]
    assert len(pairs) == 6  # two persons, never the same
    for row in pairs:
        one, other = row.prompt.partition(" sono ")[0].split(" e ")
        assert one != other
        assert _named(row) == [("PER", one), ("PER", other), ("ORG", "Banca del Serchio")]
    assert [row.spans for row in _made(found) if row.origin == "augment.cases.3"] == [(), ()]
    assert all(row.group == row.origin for row in _made(found))


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_is_read_with_the_same_spans(form, folder):
    recipe = _recipe("augment.surface=[no_accents,typo,no_punctuation,lowercase]", task=form)
    found = augment(recipe, folder, folder / "out.jsonl")
    rows = read_file(recipe, folder / "out.jsonl", group="group")
    assert [(r.prompt, r.spans, r.target) for r in rows.examples] == [
        (r.prompt, r.spans, r.target) for r in found.rows.examples
    ]
    for row in rows.examples:
        for name in re.findall(r": ([^;]+)", row.target) if form == "entities.text" else ():
            assert name in row.prompt


def test_typing_moves_the_spans_with_their_words(folder):
    cases = [{"text": "«Già», dice {PER}: «{LOC}!»"}]
    slots = {"PER": ["Niccolò"], "LOC": ["Cefalù"]}
    for how, names in {
        "no_accents": ("Niccolo'", "Cefalu'"),
        "no_punctuation": ("Niccolò", "Cefalù"),
        "lowercase": ("niccolò", "cefalù"),
    }.items():
        recipe = _recipe(f"augment.surface=[{how}]", cases=cases, slots=slots)
        made = _made(augment(recipe, folder, folder / f"{how}.jsonl"))
        (row,) = [row for row in made if row.origin == f"augment.cases.1 ({how})"]
        assert _named(row) == [("PER", names[0]), ("LOC", names[1])]


@pytest.mark.parametrize("spans", [
    [{"start": 7, "end": 12, "label": "PER"}, {"start": 15, "end": 20, "label": "LOC"}],
    [{"text": "{chi}", "label": "PER"}, {"text": "Lucca", "label": "LOC"}],
    "PER: {chi}; LOC: Lucca",
])  # fmt: skip
def test_a_case_may_mark_what_no_slot_is_called_like(spans, folder):
    cases = [{"text": "Chiama {chi} a Lucca[, dai]", "spans": spans}]
    recipe = _recipe(cases=cases, slots={"chi": ["Zoë", "Anna Però"]})
    made = _made(augment(recipe, folder, folder / "out.jsonl"))
    assert {row.prompt: _named(row) for row in made} == {
        f"Chiama {name} a Lucca{end}": [("PER", name), ("LOC", "Lucca")]
        for name in ("Zoë", "Anna Però")
        for end in ("", ", dai")
    }


def test_what_a_case_marks_comes_before_what_its_slots_are_called(folder):
    text = "Sta in via {LOC} [3]"
    cases = [{"text": text, "spans": [[7, len(text), "LOC"]]}]
    made = _made(augment(_recipe(cases=cases, slots={"LOC": ["Po"]}), folder, folder / "out.jsonl"))
    assert {row.prompt: _named(row) for row in made} == {
        "Sta in via Po 3": [("LOC", "via Po 3")],
        "Sta in via Po": [("LOC", "via Po")],
    }


def test_cases_of_a_file_need_no_spans(folder):
    (folder / "cases.csv").write_text("text\nSalgo a {LOC}[ ora]\n", encoding="utf-8")
    recipe = _recipe("augment.cases_file=cases.csv", cases=[])
    made = _made(augment(recipe, folder, folder / "out.jsonl"))
    assert len(made) == 6
    assert all(row.prompt.startswith("Salgo a " + _named(row)[0][1]) for row in made)


def test_types_are_balanced_and_what_lacks_is_said(folder):
    found = augment(_recipe("augment.rows_per_label=12"), folder, folder / "out.jsonl")
    rows = {growth.label: growth for growth in found.growth}
    counts = {
        kind: sum(any(span.label == kind for span in row.spans) for row in found.rows.examples)
        for kind in ("LOC", "ORG", "PER")
    }
    assert {kind: rows[kind].before + rows[kind].added for kind in counts} == counts
    assert counts["LOC"] >= 12
    assert counts["PER"] >= 12
    assert counts["ORG"] == 7  # one of train, six of the only case that has it
    assert (rows["ORG"].lacks, rows["ORG"].slots) == (5, ("ORG", "PER", "PER.2"))
    assert (rows["(none)"].before, rows["(none)"].added) == (1, 2)
    assert found.added == len(found.rows) - len(TRAIN)


def test_a_case_that_can_say_what_the_test_says_is_left_out(folder):
    cases = [{"text": "Ti aspetto davanti al museo con {PER}"}, {"text": "Salgo a {LOC}"}]
    found = augment(_recipe(cases=cases), folder, folder / "out.jsonl")
    assert list(found.held_out.values()) == ["test.jsonl:1"]
    assert {row.origin for row in _made(found)} == {"augment.cases.2"}


@pytest.mark.parametrize(("case", "said"), [
    ({"text": "Ciao {PERS}"}, r"no type 'PERS'.*Write \{PER\}"),
    ({"text": "Ciao {per.2}"}, r"no type 'per'.*Write \{PER.2\}"),
    ({"text": "Ciao {chi}", "spans": [[5, 8, "PER"]]}, "PER begins or ends inside {chi}"),
    ({"text": "Ciao {chi}", "spans": [[5, 10, "PET"]]}, "no row of train has the type 'PET'"),
    ({"text": "Ciao {chi}", "spans": [[5, 99, "PER"]]}, "outside the text"),
    ({"text": "Ciao {PER.2} e {LOC.x.y}"}, "no slot 'LOC.x.y'|LOC"),
    ({"spans": []}, "no text"),
])  # fmt: skip
def test_a_case_that_cannot_be_marked_is_named(case, said, folder):
    slots = {"chi": ["Ada"], "PERS": ["Ada"], "per": ["Ada"], "PER": ["Ada"]}
    with pytest.raises(RecipeError, match=said) as caught:
        augment(_recipe(cases=[case], slots=slots), folder, folder / "out.jsonl")
    assert "augment.cases.1" in str(caught.value)
    assert not (folder / "out.jsonl").exists()


def test_a_text_that_train_marks_otherwise_is_left_out(folder):
    cases = [{"text": "Domani non {cosa}."}, {"text": "ieri {PER} era a {LOC}."}]
    slots = {"cosa": ["piove"], "PER": ["giulia ferri"], "LOC": ["lucca"]}
    found = augment(_recipe(cases=cases, slots=slots), folder, folder / "out.jsonl")
    assert found.contradicting == ()  # the same text in other letters, marked alike
    assert found.rows.examples[0].group == found.rows.examples[-1].group
    other = [{"text": "Ieri {chi} era a {LOC}."}]
    slots = {"chi": ["Giulia Ferri"], "LOC": ["Lucca"]}
    found = augment(_recipe(cases=other, slots=slots), folder, folder / "two.jsonl")
    assert found.contradicting == ("Ieri Giulia Ferri era a Lucca.",)
    assert _made(found) == ()


def test_rows_is_for_texts_and_rows_per_label_for_types(folder):
    with pytest.raises(RecipeError, match=r"augment.rows=9 does nothing.*rows_per_label"):
        augment(_recipe("augment.rows=9"), folder, folder / "out.jsonl")
    recipe = _recipe("augment.rows=9", task="entities.text")
    assert len(augment(recipe, folder, folder / "out.jsonl").rows) == 9
