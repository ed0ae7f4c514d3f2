"""A case of rows that answer with text: one value on both sides, brackets in the question alone."""

import json

import pytest

from fucina import prepare, reading
from fucina.augmented import augment
from fucina.config import AugmentConfig
from fucina.errors import RecipeError
from fucina.recipe import parse
from fucina.records import Dataset, Example
from fucina.tasks import Task

CHAT = [
    {"prompt": "Com'è il mare stamattina?", "answer": "Grosso, figliolo: resta a terra fino a sera."},
    {"prompt": "Chi accende la luce?", "answer": "Io, al tramonto, da trent'anni."},
    {"prompt": "Perché suona la sirena?", "answer": "C'è nebbia. Suona ogni trenta secondi."},
]  # fmt: skip
TEST = [{"prompt": "Si può pescare dagli scogli?", "answer": "Si può, ma guarda sempre l'onda."}]
SECTION = """
  slots: {citta: [Lucca, Forlì, "L'Aquila"]}
  cases:
  - {prompt: "[scusa, ](piove|nevica) a {citta}?", answer: "A {citta} no (per ora)."}
"""


def _write(path, rows):
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def _spoken(row):
    roles = ("system", "user", "assistant")
    return {"messages": [{"role": r, "content": t} for r, t in zip(roles[-len(row) :], row, strict=True)]}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    _write(tmp_path / "train.jsonl", CHAT)
    _write(tmp_path / "test.jsonl", TEST)
    return tmp_path


def _recipe(section=SECTION, *overrides, task="chat"):
    text = f"task: {task}\nname: a\ndata: {{train: train.jsonl, test: test.jsonl}}\naugment:"
    return parse(text + section, overrides)[0]


def _read(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_slot_has_the_same_value_in_question_and_answer(folder):
    found = augment(_recipe(), folder, folder / "out.jsonl")
    rows = _read(folder / "out.jsonl")
    assert [{k: row[k] for k in ("prompt", "answer")} for row in rows[:3]] == CHAT
    made = rows[3:]
    assert len(made) == 12
    for row in made:
        (city,) = [city for city in ("Lucca", "Forlì", "L'Aquila") if city in row["prompt"]]
        # Brackets of an answer are text.
        assert row["answer"] == f"A {city} no (per ora)."
        assert row["group"] == row["origin"] == "augment.cases.1"
    assert {"scusa, nevica a L'Aquila?", "piove a Forlì?"} <= {row["prompt"] for row in made}
    (growth,) = found.growth
    assert (growth.label, growth.before, growth.added, found.labelled) == ("", 3, 12, False)


def test_a_target_counts_all_rows_and_says_what_lacks(folder):
    (growth,) = augment(_recipe(SECTION, "augment.rows=9"), folder, folder / "out.jsonl").growth
    assert (growth.added, growth.lacks) == (6, 0)
    recipe = _recipe(SECTION, "augment.rows=40")
    (growth,) = augment(recipe, folder, folder / "two.jsonl").growth
    assert (growth.added, growth.lacks, growth.slots) == (12, 25, ("citta",))


def test_the_same_seed_gives_the_same_file(folder):
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        overrides = [f"seed={seed}", "augment.max_per_case=4", "augment.surface=[typo]"]
        augment(_recipe(SECTION, *overrides), folder, folder / f"{name}.jsonl")
    one, two, three = ((folder / f"{n}.jsonl").read_bytes() for n in ("one", "two", "three"))
    assert one == two != three


def test_typing_touches_the_question_alone(folder):
    augment(_recipe("\n  surface: [no_accents, no_punctuation]\n"), folder, folder / "out.jsonl")
    rows = _read(folder / "out.jsonl")
    typed = {row["prompt"]: row for row in rows[3:]}
    assert set(typed) == {"Com'e' il mare stamattina?", "Com'è il mare stamattina",
                          "Chi accende la luce", "Perche' suona la sirena?",
                          "Perché suona la sirena"}  # fmt: skip
    answers = {row["answer"] for row in CHAT}
    assert {row["answer"] for row in typed.values()} == answers
    assert typed["Chi accende la luce"]["group"] == rows[1]["group"] == "train.jsonl:2"


def test_typing_that_would_change_an_answer_made_of_the_question_is_left_out():
    def first_word(row):
        return Example(row["text"], row["text"].split()[0])

    task = Task("first", "The first word.", "text", {"text": "", "word": ""}, first_word)
    texts = ("Ada canta bene", "poi Ugo balla")
    rows = [task.read({"text": text, "word": ""}, f"a:{i}") for i, text in enumerate(texts)]
    config = AugmentConfig(surface=("lowercase",))
    found = prepare.augment(
        Dataset("train", tuple(rows)), [], config, task, near=lambda _: None, seed=1
    )
    assert found.rows.prompts == [*texts, "poi ugo balla"]


def test_of_a_conversation_only_the_last_turn_of_the_user_is_typed(folder):
    said = ["Perché lampeggia?", "È la sua firma.", "È già l'alba?", "È già l'alba."]
    roles = ["user", "assistant"] * 2
    turns = [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]
    _write(folder / "train.jsonl", [{"messages": turns}])
    augment(_recipe("\n  surface: [no_accents]\n"), folder, folder / "out.jsonl")
    first, typed = _read(folder / "out.jsonl")
    assert first["messages"] == turns
    assert [turn["content"] for turn in typed["messages"]] == [
        *said[:2],
        "E' gia' l'alba?",
        said[3],
    ]
    assert typed["group"] == first["group"] == "train.jsonl:1"


def test_whole_conversations_are_cases_and_rows_of_columns_join_them(folder):
    call = {"type": "function", "function": {"name": "meteo", "arguments": {"zona": "{citta}"}}}
    case = [
        {"role": "system", "content": "Sei Nerina."},
        {"role": "user", "content": "Vado a {citta} (a piedi)."},
        {"role": "assistant", "content": "A {citta}? È lontana. \\{citta}"},
        {"role": "user", "content": "[E ]che tempo fa?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": '{"dove": "{citta}"}', "name": "meteo"},
        {"role": "assistant", "content": "A {citta} piove."},
    ]
    tools = [{"type": "function", "function": {"name": "meteo", "parameters": {}}}]
    _write(folder / "cases.jsonl", [{"messages": case, "tools": tools}])
    _write(folder / "train.jsonl", [_spoken(list(row.values())) for row in CHAT])
    section = '\n  slots: {citta: ["Lucca", "la \\"Cima\\""]}\n  cases_file: cases.jsonl\n'
    augment(_recipe(section), folder, folder / "out.jsonl")
    made = _read(folder / "out.jsonl")[3:]
    assert len(made) == 4
    assert {row["group"] for row in made} == {"cases.jsonl:1"}
    row = next(
        r for r in made if "Cima" in str(r) and r["messages"][3]["content"] == "che tempo fa?"
    )
    contents = [turn["content"] for turn in row["messages"]]
    assert contents[1] == 'Vado a la "Cima" (a piedi).'
    assert contents[2] == 'A la "Cima"? È lontana. {citta}'
    assert json.loads(contents[5]) == {"dove": 'la "Cima"'}  # JSON stays JSON
    assert row["messages"][4]["tool_calls"][0]["function"]["arguments"] == {"zona": 'la "Cima"'}
    assert row["tools"] == tools
    read = reading.read_file(_recipe(section), folder / "out.jsonl", group="group").examples
    assert {example.group for example in read[3:]} == {"cases.jsonl:1"}


def test_a_row_keeps_its_columns_whatever_they_are_called(folder):
    rows = [
        {"domanda": r["prompt"], "risposta": r["answer"], "system": "Sei Nerina.", "id": 7}
        for r in CHAT
    ]
    _write(folder / "train.jsonl", rows)
    _write(folder / "test.jsonl", [{"domanda": "Si pesca?", "risposta": "No.", "system": ""}])
    overrides = ["data.columns={prompt: domanda, answer: risposta}", "data.group=null"]
    augment(_recipe(SECTION, *overrides), folder, folder / "out.jsonl")
    written = _read(folder / "out.jsonl")
    assert list(written[0]) == ["domanda", "risposta", "system", "group", "origin"]
    assert written[0]["system"] == "Sei Nerina."
    assert written[3]["system"] == ""
    subject = reading.read_subject(
        _recipe(SECTION, *overrides[:1], "data.train=out.jsonl", "data.group=group"), folder
    )
    assert len(subject.train) == 15
    assert subject.train.examples[0].messages[0].content == "Sei Nerina."


def test_hashtags_may_be_lists_with_slots(folder):
    _write(folder / "train.jsonl", [{"text": "Oggi si inforna.", "hashtags": ["#pane"]}])
    _write(folder / "test.jsonl", [{"text": "Un giro in bici.", "hashtags": ["#bici"]}])
    section = """
  slots: {citta: [Lucca, Forlì]}
  cases: [{text: "[Ieri ]siamo stati a {citta}!", hashtags: ["#gita", "#{citta}"]}]
"""
    augment(_recipe(section, task="hashtags"), folder, folder / "out.jsonl")
    rows = _read(folder / "out.jsonl")
    assert rows[0]["hashtags"] == ["#pane"]
    assert {(row["text"], *row["hashtags"]) for row in rows[1:]} == {
        ("siamo stati a Lucca!", "#gita", "#Lucca"), ("Ieri siamo stati a Lucca!", "#gita", "#Lucca"),
        ("siamo stati a Forlì!", "#gita", "#Forlì"), ("Ieri siamo stati a Forlì!", "#gita", "#Forlì"),
    }  # fmt: skip


def test_what_a_held_out_row_asks_or_answers_is_never_varied(folder):
    _write(folder / "test.jsonl", [
        {"prompt": "scusa piove a Forlì", "answer": "No."},
        {"prompt": "E la sirena?", "answer": "C'è nebbia, suona ogni trenta secondi!"},
    ])  # fmt: skip
    recipe = _recipe(SECTION, "augment.surface=[lowercase]")
    found = augment(recipe, folder, folder / "out.jsonl")
    assert dict(found.held_out) == {
        "[scusa, ](piove|nevica) a {citta}?": "test.jsonl:1", "train.jsonl:3": "test.jsonl:2",
    }  # fmt: skip
    made = _read(folder / "out.jsonl")[3:]
    assert {row["group"] for row in made} == {"train.jsonl:1", "train.jsonl:2"}


def test_a_question_that_train_answers_otherwise_is_left_out(folder):
    section = '\n  cases: [{prompt: "chi accende la (luce|lampada)?", answer: "Nessuno."}]\n'
    found = augment(_recipe(section), folder, folder / "out.jsonl")
    assert found.contradicting == ("chi accende la luce?",)
    assert [row["prompt"] for row in _read(folder / "out.jsonl")[3:]] == ["chi accende la lampada?"]


def _case(**columns):
    return "\n  slots: {citta: [Lucca]}\n  cases: " + json.dumps([columns]) + "\n"


@pytest.mark.parametrize(("section", "message"), [
    (_case(text="a", label="b"), r"augment.cases.1: chat has no 'text'"),
    (_case(prompt="a", risposta="b"), r"chat has no 'risposta'"),
    (_case(prompt="a", messages=[]), r"chat has no 'messages'.*augment.cases_file"),
    (_case(prompt="a"), r"augment.cases.1: no answer.*what the assistant says"),
    (_case(prompt=" ", answer="b"), r"augment.cases.1: no prompt"),
    (_case(prompt="a {citta}", answer="{cita}"), r"no slot 'cita' beside the question.*'citta'"),
    (_case(prompt="a", answer="{citta}"), r"the answer has \{citta\}, but not every way to ask"),
    (_case(prompt="a[ {citta}]", answer="{citta}"), r"the answer has \{citta\}, but not every way"),
    (_case(prompt="a {citta", answer="b"), r"never closed"),
    ("\n  surface: [typo]\n  rows_per_label: 3\n", r"augment.rows_per_label=3 does nothing.*Set augment.rows"),
])  # fmt: skip
def test_a_wrong_case_is_named_and_nothing_is_written(section, message, folder):
    with pytest.raises(RecipeError, match=message):
        augment(_recipe(section), folder, folder / "out.jsonl")
    assert not (folder / "out.jsonl").exists()


def test_a_slot_in_every_alternative_may_be_in_the_answer(folder):
    section = _case(prompt="(piove a {citta}|e a {citta})?", answer="A {citta} no.")
    (growth,) = augment(_recipe(section), folder, folder / "out.jsonl").growth
    assert growth.added == 2


def test_a_target_of_rows_is_for_texts():
    recipe = parse(
        "{task: classification, name: a, data: {train: a}, augment: {surface: [typo], rows: 9}}"
    )[0]
    from fucina.tasks.settings import refuse_idle

    with pytest.raises(
        RecipeError, match=r"augment.rows=9 does nothing.*Set augment.rows_per_label"
    ):
        refuse_idle(recipe)
