"""What a recipe has the system say reaches the model, whatever the task."""

import json

import pytest

from fucina import reading, tasks
from fucina.config import ChatConfig
from fucina.models.pairing import open_pairing
from fucina.models.scratch import tokenizer_of
from fucina.models.template import open_template
from fucina.recipe import load
from fucina.tasks import get

SAID = "Rispondi con ciò che ti chiedono e basta."
WRITERS = [
    form
    for name in tasks.names()
    for form in (name, *(f"{name}.{own}" for own in get(name).choices.forms))
    if get(form).answer == "text" and name != "multitask"
]


@pytest.mark.parametrize("name", WRITERS)
def test_it_is_said_once_and_first(name):
    folder = tasks.folder(name)
    own = [f"task={name}", f"chat.system={SAID}", "chat.constitution=null", "chat.others=null"]
    recipe, _ = load(folder / "recipe.yaml", own)
    row = reading.read_file(recipe, folder / recipe.data.train).examples[0]
    tokenizer = tokenizer_of([row.target])
    template = open_template(tokenizer, recipe.chat.template, system=recipe.chat.system)
    pairing = open_pairing(tokenizer, ChatConfig(system=SAID))
    for text in (template.render(row).text, pairing.read(row)):
        assert text.count(SAID) == 1
        assert text.removeprefix("<|im_start|>system\n").startswith(SAID)
        assert row.prompt.splitlines()[0] in text


def test_a_schema_comes_after_it_and_a_question_that_is_asked_later_has_it_too():
    folder = tasks.folder("text_to_sql")
    recipe, _ = load(folder / "recipe.yaml", [f"chat.system={SAID}"])
    row = reading.read_file(recipe, folder / recipe.data.train).examples[0]
    first = row.messages[0]
    assert first.role == "system"
    assert first.content.startswith(f"{SAID}\n\n")
    plain = reading.read_file(load(folder / "recipe.yaml")[0], folder / recipe.data.train)
    assert first.content == f"{SAID}\n\n{plain.examples[0].messages[0].content}"


def test_a_part_of_several_has_it_said_before_its_schema_too():
    folder = tasks.folder("multitask")
    parts = [{"name": "sql", "task": "text_to_sql", "train": "../text_to_sql/sample.jsonl",
              "system": SAID}]  # fmt: skip
    own = [f"multitask={json.dumps({'parts': parts})}", "chat.system=Altro."]
    row = reading.read(load(folder / "recipe.yaml", own)[0], folder)[0].development.examples[0]
    assert row.messages[0].content.startswith(f"{SAID}\n\nCREATE TABLE")


def test_conversations_that_say_it_themselves_keep_their_own(tmp_path):
    turns = [("system", "Sei Ada."), ("user", "Ciao"), ("assistant", "Ciao!")]
    row = {"messages": [{"role": role, "content": said} for role, said in turns]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row), "utf-8")
    recipe, _ = load(tasks.folder("chat") / "recipe.yaml", [f"chat.system={SAID}"])
    found = reading.read_file(recipe, tmp_path / "rows.jsonl").examples[0]
    assert found.messages[0].content == "Sei Ada."
