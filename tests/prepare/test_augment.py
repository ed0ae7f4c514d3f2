"""Variations are balanced, grouped with their base, repeatable, and never of held-out rows."""

import json
from collections import Counter

import pytest

from fucina import reading
from fucina.augmented import augment
from fucina.errors import DataError, RecipeError
from fucina.recipe import dump, parse

TRAIN = [
    ("Dov'è il mio pacco? È già partito", "ordine"),
    ("quando arriva la spedizione", "ordine"),
    ("la spedizione non arriva più", "ordine"),
    ("Perché non mi rimborsate", "reso"),
    ("rivoglio i soldi", "reso"),
]
SECTION = """
  slots: {cosa: [il pacco, l'ordine, la merce], tempo: [oggi, lunedì, dopodomani]}
  cases:
  - {text: "mi portate {cosa} {tempo}?", label: ordine}
  - {text: "[ciao, ]voglio restituire {cosa}", label: reso}
"""


@pytest.fixture
def folder(tmp_path):
    _write(tmp_path / "train.jsonl", TRAIN)
    _write(tmp_path / "test.jsonl", [("tutt'altra frase di prova", "ordine")])
    return tmp_path


def _write(path, rows, text="text", label="label"):
    lines = [json.dumps({text: t, label: name}, ensure_ascii=False) for t, name in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _recipe(section=SECTION, *overrides):
    text = "task: classification\nname: a\ndata: {train: train.jsonl, test: test.jsonl}\naugment:"
    return parse(text + section, overrides)[0]


def _read(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_train_comes_first_and_every_variation_has_the_group_of_its_case(folder):
    found = augment(_recipe(), folder, folder / "out.jsonl")
    rows = _read(folder / "out.jsonl")
    assert [(row["text"], row["label"]) for row in rows[:5]] == TRAIN
    made = rows[5:]
    assert Counter(row["group"] for row in made) == {"augment.cases.1": 9, "augment.cases.2": 6}
    assert {row["text"] for row in made} >= {
        "mi portate l'ordine lunedì?",
        "voglio restituire la merce",
    }
    assert len({row["text"] for row in rows}) == len(rows)
    assert {g.label: (g.before, g.added, g.lacks) for g in found.growth} == {
        "ordine": (3, 9, 0), "reso": (2, 6, 0),
    }  # fmt: skip


def test_the_same_seed_gives_the_same_file_and_another_seed_another(folder):
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        recipe = _recipe(
            SECTION, f"seed={seed}", "augment.max_per_case=3", "augment.surface=[typo]"
        )
        augment(recipe, folder, folder / f"{name}.jsonl")
    one, two, three = ((folder / f"{n}.jsonl").read_bytes() for n in ("one", "two", "three"))
    assert one == two != three


def test_a_target_counts_the_rows_of_train_and_says_what_lacks(folder):
    found = augment(_recipe(SECTION, "augment.rows_per_label=9"), folder, folder / "out.jsonl")
    order, refund = found.growth
    assert (order.added, order.lacks) == (6, 0)
    assert (refund.added, refund.lacks, refund.slots) == (6, 1, ("cosa",))
    assert not refund.capped
    assert Counter(e.target for e in found.rows.examples) == {"ordine": 9, "reso": 8}


def test_the_limit_of_a_case_is_named_when_it_is_what_holds_a_label_up(folder):
    recipe = _recipe(SECTION, "augment.rows_per_label=9", "augment.max_per_case=2")
    assert [g.capped for g in augment(recipe, folder, folder / "out.jsonl").growth] == [True, True]


def test_what_nearly_equals_a_held_out_row_is_left_out_and_told(folder):
    _write(folder / "test.jsonl", [("Mi portate l'ordine lunedi", "ordine"),
                                   ("quando arriva la spedizione?", "ordine")])  # fmt: skip
    _write(folder / "validation.jsonl", [("ciao voglio restituire la merce!", "reso")])
    recipe = _recipe(
        SECTION, "augment.surface=[lowercase, typo]", "data.validation=validation.jsonl"
    )
    found = augment(recipe, folder, folder / "out.jsonl")
    # A case with one variation among the held-out rows gives none: the others say nearly the same.
    groups = {row["group"] for row in _read(folder / "out.jsonl")}
    assert not groups & {"augment.cases.1", "augment.cases.2"}
    assert found.held_out["mi portate {cosa} {tempo}?"] == "test.jsonl:1"
    assert found.held_out["[ciao, ]voglio restituire {cosa}"] == "validation.jsonl:1"
    # A row of train that says what a test row says stays as it is, and is not varied.
    assert found.held_out["train.jsonl:2"] == "test.jsonl:2"
    assert not [
        row for row in _read(folder / "out.jsonl") if row["origin"].startswith("train.jsonl:2 (")
    ]


def test_a_plain_case_that_is_a_held_out_row_gives_nothing(folder):
    _write(folder / "test.jsonl", [("voglio i miei soldi", "reso")])
    section = '\n  surface: [typo]\n  max_per_case: 1\n  cases: [{text: "Voglio i miei soldi!", label: reso}]\n'
    found = augment(_recipe(section), folder, folder / "out.jsonl")
    assert found.held_out == {"Voglio i miei soldi!": "test.jsonl:1"}
    assert not [e for e in found.rows.examples if e.group == "augment.cases.1"]


def test_a_case_that_is_a_row_of_train_joins_its_group(folder):
    rows = [
        {"text": t, "label": name, "group": "anna" if i == 1 else ""}
        for i, (t, name) in enumerate(TRAIN)
    ]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    section = '\n  cases: [{text: "quando arriva la spedizione[ di domani]", label: ordine}]\n'
    augment(_recipe(section, "data.group=group"), folder, folder / "out.jsonl")
    written = {row["text"]: row["group"] for row in _read(folder / "out.jsonl")}
    assert written["quando arriva la spedizione di domani"] == "anna"
    augment(_recipe(section), folder, folder / "two.jsonl")
    written = {row["text"]: row["group"] for row in _read(folder / "two.jsonl")}
    assert (
        written["quando arriva la spedizione di domani"]
        == written["quando arriva la spedizione"]
        != ""
    )
    assert written["rivoglio i soldi"] == ""


def test_rows_of_train_are_varied_as_people_type(folder):
    found = augment(_recipe("\n  surface: [no_accents, lowercase]\n"), folder, folder / "out.jsonl")
    rows = _read(folder / "out.jsonl")
    first = next(row for row in rows if row["text"] == "Dov'e' il mio pacco? E' gia' partito")
    assert first["group"] == rows[0]["group"] == "train.jsonl:1"
    assert first["origin"] == "train.jsonl:1 (no_accents)"
    assert sum(g.added for g in found.growth) == len(rows) - 5
    assert len({row["text"] for row in rows}) == len(rows)


def test_a_variation_that_train_has_with_another_label_is_left_out(folder):
    section = '\n  cases: [{text: "rivoglio i (soldi|pacchi)", label: ordine}]\n'
    found = augment(_recipe(section), folder, folder / "out.jsonl")
    assert found.contradicting == ("rivoglio i soldi",)
    assert [e.prompt for e in found.rows.examples[5:]] == ["rivoglio i pacchi"]


def test_cases_are_read_from_a_file_of_another_format(folder):
    (folder / "cases.csv").write_text(
        'text,label\n"dov\'è {cosa}, perché?",ordine\n', encoding="utf-8"
    )
    section = "\n  slots: {cosa: [l'ordine, 12]}\n  cases_file: cases.csv\n"
    augment(_recipe(section, "data.format=jsonl"), folder, folder / "out.jsonl")
    made = _read(folder / "out.jsonl")[5:]
    assert {row["text"] for row in made} == {"dov'è l'ordine, perché?", "dov'è 12, perché?"}
    assert {row["group"] for row in made} == {"cases.csv:2"}


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_the_written_file_trains_beside_a_test_file_with_other_columns(folder, encoding):
    for name, rows in (("train", TRAIN * 4), ("test", [("tutt'altra città", "ordine")])):
        lines = "corpo;coda\n" + "".join(f"{t};{label}\n" for t, label in rows)
        (folder / f"{name}.csv").write_text(lines, encoding=encoding)
    columns = ["data.train=train.csv", "data.test=test.csv", "data.text=corpo", "data.label=coda",
               f"data.encoding={encoding}"]  # fmt: skip
    augment(_recipe(SECTION, "data.format=csv", *columns), folder, folder / "out.jsonl")
    columns[0] = "data.train=out.jsonl"
    subject = reading.read_subject(_recipe(SECTION, *columns, "data.group=group"), folder)
    assert "mi portate l'ordine lunedì?" in subject.train.prompts
    assert len({example.group for example in subject.train.examples}) == 3


@pytest.mark.parametrize(("section", "message"), [
    (" {}\n", "nothing to vary"),
    ("\n  cases: [{text: a, label: ordini}]\n", "augment.cases.1: no row.*'ordini'.*did you mean 'ordine'"),
    ("\n  cases: [{text: a, label: reso}, {text: 'a {cosa}', label: reso}]\n", "augment.cases.2: no slot 'cosa'"),
    ("\n  cases: [{text: 'a {cosa', label: reso}]\n", "augment.cases.1: .* never closed"),
])  # fmt: skip
def test_a_wrong_case_is_named_and_nothing_is_written(section, message, folder):
    with pytest.raises(RecipeError, match=message):
        augment(_recipe(section), folder, folder / "out.jsonl")
    assert not (folder / "out.jsonl").exists()


def test_nothing_is_overwritten(folder):
    (folder / "out.jsonl").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="exists already"):
        augment(_recipe(), folder, folder / "out.jsonl")
    with pytest.raises(DataError, match=r"not a \.jsonl"):
        augment(_recipe(), folder, folder / "out.csv")
    assert (folder / "out.jsonl").read_text("utf-8") == "mine"


def test_a_recipe_with_variations_survives_writing():
    recipe = _recipe()
    assert parse(dump(recipe))[0] == recipe
    assert parse(dump(recipe.model_copy(update={"augment": None})))[0].augment is None
