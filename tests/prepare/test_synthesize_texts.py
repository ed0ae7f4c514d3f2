"""Pairs from a model: question and answer are both judged, and wait as columns of the task."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from fucina import reading, review, tasks
from fucina.endpoint.replies import read_rows
from fucina.errors import DataError, EndpointError, RecipeError
from fucina.recipe import dump, parse
from fucina.synthesized import accept, write_examples

WORDS = (
    "quando torna il vento forte dalla punta vecchia vorrei capire perché nessuna barca esce dal "
    "porto mentre la luce gira ancora sopra gli scogli neri della costa oppure dovrei aspettare "
    "domani mattina prima che arrivi la nebbia senza rischiare altre reti buone come successo "
    "durante la burrasca scorsa con quel povero marinaio stanco salvato insieme al cane rosso"
).split()


def _pairs(count, seed):
    rng = np.random.default_rng(seed)
    asked = [" ".join(rng.choice(WORDS, size=9, replace=False)) for _ in range(count)]
    said = [" ".join(rng.choice(WORDS, size=12, replace=False)) for _ in range(count)]
    return [
        {"prompt": f"{question.capitalize()}?", "answer": f"{answer.capitalize()}."}
        for question, answer in zip(asked, said, strict=True)
    ]


TRAIN, TEST, NEW = _pairs(20, 1), _pairs(6, 2), _pairs(300, 3)
CHAT = tasks.get("chat")
PROMPTS = [
    {"prompt": "Chiedi a Nerina {rows} cose sul mare, come: {examples}", "rows": 12},
    {"name": "rotta", "prompt": 'Domande di chi naviga: {"prompt": []}', "rows": 8},
]


@pytest.fixture
def folder(tmp_path):
    for name, rows in (("train", TRAIN), ("test", TEST)):
        _lines(tmp_path / f"{name}.jsonl", rows)
    return tmp_path


@pytest.fixture(autouse=True)
def _new(endpoint):
    endpoint.texts = list(NEW)


def _lines(path, rows):
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def _spoken(pair, system=""):
    turns = [{"role": "system", "content": system}] if system else []
    turns += [{"role": "user", "content": pair["prompt"]}]
    return {"messages": [*turns, {"role": "assistant", "content": pair["answer"]}]}


def _recipe(endpoint, *overrides, prompts=PROMPTS, task="chat"):
    section = {"url": endpoint.url, "model": "piccolo", "rows_per_request": 5, "prompts": prompts}
    text = json.dumps({
        "task": task, "name": "a", "synthesis": section,
        "data": {"train": "train.jsonl", "test": "test.jsonl"},
    })  # fmt: skip
    return parse(text, overrides)[0]


def _write(recipe, folder, key=""):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    return write_examples(recipe, folder, key, sleep=sleep), pauses


def _rows(folder, task=CHAT):
    return review.read(folder / "a.review.jsonl", task)


def test_every_prompt_gets_its_pairs_as_columns_of_the_task(endpoint, folder):
    written, pauses = _write(_recipe(endpoint), folder)
    assert [(w.name, w.waiting, w.problem) for w in written] == [
        ("prompt 1", 12, ""), ("rotta", 8, ""),
    ]  # fmt: skip
    assert pauses == []
    lines = [
        json.loads(line) for line in (folder / "a.review.jsonl").read_text("utf-8").splitlines()
    ]
    assert list(lines[0]) == ["status", "prompt", "answer", "why", "origin", "group", "asked"]
    assert {(line["status"], line["origin"], line["group"]) for line in lines} == {
        ("waiting", "synthetic:piccolo:1", "synthetic:piccolo:1"),
        ("waiting", "synthetic:piccolo:rotta", "synthetic:piccolo:rotta"),
    }
    pairs = [{"prompt": line["prompt"], "answer": line["answer"]} for line in lines]
    assert all(pair in NEW for pair in pairs)
    told = endpoint.requests[0]["messages"][0]["content"]
    assert '{"rows": [{"prompt": "...", "answer": "..."}]}' in told
    assert "answer: what the assistant says" in told
    assert endpoint.requests[0]["messages"][1]["content"].endswith("Write 5 rows.")


def test_whole_rows_of_train_are_shown_and_none_of_the_test(endpoint, folder):
    leaking = [
        {"prompt": f"{TEST[0]['prompt']} Eh", "answer": "No."},  # asks what a test row asks
        {"prompt": "E quindi?", "answer": TEST[1]["answer"].lower()},  # answers as a test row does
        {"prompt": "A chi scrivo?", "answer": "A nerina.faro@posta.it, se risponde."},
    ]
    _lines(folder / "train.jsonl", [*TRAIN, *leaking])
    _write(_recipe(endpoint, "synthesis.examples_shown=100"), folder)
    sent = "\n".join(body["messages"][-1]["content"] for body in endpoint.requests)
    assert all(json.dumps(row, ensure_ascii=False) in sent for row in TRAIN)
    for row in [*TEST, *leaking]:
        assert row["prompt"] not in sent
        assert row["answer"] not in sent
    assert '{"prompt": []}' in sent


def test_of_a_conversation_its_beginning_is_shown(endpoint, folder):
    turns = _spoken(TRAIN[0], "Sei Nerina.")["messages"] + _spoken(TRAIN[1])["messages"]
    call = {"function": {"name": "meteo", "arguments": {}}}
    silent = [{"role": "user", "content": TRAIN[2]["prompt"]},
              {"role": "assistant", "content": "", "tool_calls": [call]},
              {"role": "tool", "content": "sole"}, {"role": "assistant", "content": "Sole."}]  # fmt: skip
    _lines(folder / "train.jsonl", [{"messages": turns}, {"messages": silent}])
    _write(_recipe(endpoint, "synthesis.requests_at_once=1"), folder)
    sent = endpoint.requests[0]["messages"][-1]["content"]
    assert json.dumps(TRAIN[0], ensure_ascii=False) in sent
    assert TRAIN[1]["answer"] not in sent
    assert TRAIN[2]["prompt"] not in sent


def test_without_a_test_file_no_row_is_shown(endpoint, folder):
    with pytest.raises(RecipeError, match=r"its rows could be sent out.*examples_shown=0"):
        _write(_recipe(endpoint, "data.test=null"), folder)
    assert endpoint.requests == []


LATER = (429, {"Retry-After": "7"}, {"error": {"message": "slow down"}})
FAILURES = {
    "429": [LATER],
    "503 twice": [(503, {}, {"error": "busy"}), (503, {}, "")],
    "closed connection": ["close"],
    "broken JSON": ['{"rows": [{"prompt": "una dom'],
    "strings where rows are wanted": [["una domanda", "un'altra"]],
    "no rows": [[]],
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_may_pass_is_survived(name, endpoint, folder):
    endpoint.script = list(FAILURES[name])
    written, pauses = _write(_recipe(endpoint), folder)
    assert [(w.waiting, w.problem) for w in written] == [(12, ""), (8, "")]
    assert len(pauses) == len(FAILURES[name])


def test_the_whole_rows_of_a_reply_that_breaks_off_are_kept(endpoint, folder):
    whole = json.dumps({"rows": NEW[200:205]}, ensure_ascii=False)
    cut = whole[: whole.index(NEW[203]["answer"][:10])]
    endpoint.script = [cut, (401, {}, {"error": "no"})]
    with pytest.raises(EndpointError):
        _write(_recipe(endpoint, "synthesis.requests_at_once=1"), folder)
    assert [dict(row.fields) for row in _rows(folder)] == NEW[200:203]


def test_a_kill_in_the_middle_loses_nothing_that_came(endpoint, folder):
    recipe = folder / "recipe.yaml"
    recipe.write_text(dump(_recipe(endpoint, "synthesis.requests_at_once=1")), encoding="utf-8")
    endpoint.script = [NEW[200:205], NEW[205:210], "hang"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fucina", "synthesize", str(recipe)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(endpoint.requests) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with (folder / "a.review.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"status": "waiting", "prompt": "perch')  # a kill may also tear a line
    written, _ = _write(_recipe(endpoint), folder)
    assert [(w.waiting, w.problem) for w in written] == [(12, ""), (8, "")]
    kept = [dict(row.fields) for row in _rows(folder)]
    assert all(pair in kept for pair in NEW[200:210])
    assert len(kept) == 20


def _pair(prompt=None, answer=None, place=0):
    """A good pair, with another question or answer."""
    good = NEW[250 + place]
    return {
        "prompt": prompt or good["prompt"],
        "answer": good["answer"] if answer is None else answer,
    }


def test_what_the_audit_would_find_in_question_or_answer_is_refused(endpoint, folder):
    (folder / "rules.yaml").write_text(
        "rules: [{name: calma, must_not: [urrà]}]\n", encoding="utf-8"
    )
    english = "I would never go out with the boat when the wind comes from the old point, no."
    bad = {
        "empty: no answer": _pair(place=1, answer=""),
        "broken letters": _pair(place=2, answer="PerchÃ© la barca non esce dal porto stamattina."),
        "personal data: e-mail": _pair(place=3, answer="Scrivi a nerina.faro@posta.it quando arrivi."),
        "nearly held out: test.jsonl:1": _pair(TEST[0]["prompt"].upper()),
        "nearly held out: test.jsonl:2": _pair(place=4, answer=TEST[1]["answer"].lower()),
        "nearly in train: train.jsonl:3": _pair(TRAIN[2]["prompt"] + "!"),
        "nearly a repetition: synthetic:piccolo:1": _pair(NEW[249]["prompt"].lower()),
        "another language: answer in en": _pair(place=5, answer=english),
        "unusual length: question of 2 characters": _pair("E?"),
        "machine talk: 'As an AI language model, I' in: As an AI language model, I non so andare "
        "per mare con que…": _pair(place=6, answer="As an AI language model, I non so andare per mare con questo vento."),
        "placeholder: [nome] in: …": _pair(place=7, answer="Chiedi al vecchio [nome] quando torna la barca dal porto di sera."),
        "cut answer: ends with 'della'": _pair(place=8, answer="La barca vecchia esce ancora dal porto quando gira il vento della"),
        "broken rule: calma (says 'Urrà')": _pair(place=9, answer="Urrà, la barca vecchia esce ancora dal porto quando gira il vento."),
    }  # fmt: skip
    endpoint.script = [[NEW[249], *bad.values()]]
    recipe = _recipe(endpoint, "chat.constitution=rules.yaml", prompts=PROMPTS[:1])
    written, _ = _write(recipe, folder)
    refused = [(row.why, dict(row.fields)) for row in _rows(folder) if row.status == "refused"]
    assert [fields for _, fields in refused] == list(bad.values())
    for (why, _), wanted in zip(refused, bad, strict=True):
        assert why.partition(" in: ")[0] == wanted.partition(" in: ")[0]
    assert written[0].refused["nearly held out"] == 2
    assert written[0].waiting >= 12


def test_one_answer_to_many_questions_is_refused_in_the_end(endpoint, folder):
    same = "Quando gira il vento dalla punta la barca resta sempre in porto, figliolo."
    endpoint.script = [[{**pair, "answer": same} for pair in NEW[200:208]]]
    _write(_recipe(endpoint, "synthesis.requests_at_once=1", prompts=PROMPTS[:1]), folder)
    rows = _rows(folder)[:8]
    assert [row.status for row in rows] == ["waiting"] * 4 + ["refused"] * 4
    assert rows[4].why == "boilerplate: the answer of 4 other questions"


def test_what_many_answers_of_train_have_is_no_fault(endpoint, folder):
    _lines(
        folder / "train.jsonl",
        [{**row, "answer": "Mi dispiace, non posso " + row["answer"]} for row in TRAIN],
    )
    endpoint.texts = [{**row, "answer": "Mi dispiace, non posso " + row["answer"]} for row in NEW]
    written, _ = _write(_recipe(endpoint), folder)
    assert "refusal" not in written[0].refused
    assert written[0].waiting == 12


def test_accepted_pairs_become_messages_where_train_is(endpoint, folder):
    _lines(folder / "train.jsonl", [_spoken(row) for row in TRAIN])
    prompts = [{**PROMPTS[0], "given": {"system": "Sei Nerina."}, "prompt": "Per {system} {rows}"}]
    recipe = _recipe(endpoint, "synthesis.requests_at_once=1", prompts=prompts)
    _write(recipe, folder)
    assert "Per Sei Nerina. 5" in endpoint.requests[0]["messages"][1]["content"]
    rows = _rows(folder)
    assert all(row.fields["system"] == "Sei Nerina." for row in rows)
    rows[0] = replace(rows[0], status="refused")
    rows[1] = replace(rows[1], fields={**rows[1].fields, "answer": "Ritoccato a mano."})
    rows[2] = replace(rows[2], fields={**rows[2].fields, "prompt": TEST[0]["prompt"].upper()})
    review.write(folder / "a.review.jsonl", rows)
    done = accept(recipe, folder)
    assert (done.train, done.accepted, done.new) == (20, 10, 10)
    assert dict(done.refused) == {TEST[0]["prompt"].upper(): "test.jsonl:1"}
    written = [json.loads(line) for line in done.path.read_text("utf-8").splitlines()]
    assert [row["messages"] for row in written[:20]] == [_spoken(row)["messages"] for row in TRAIN]
    assert written[20]["messages"] == _spoken(
        {"prompt": rows[1].fields["prompt"], "answer": "Ritoccato a mano."}, "Sei Nerina."
    )["messages"]  # fmt: skip
    assert {row["group"] for row in written[20:]} == {"synthetic:piccolo:1"}
    trained, _ = reading.read(
        _recipe(endpoint, "data.train=a.accepted.jsonl", "data.group=group"), folder
    )
    assert len(trained.development) == 30
    before = done.path.read_bytes()
    assert accept(recipe, folder).new == 0
    assert done.path.read_bytes() == before


def test_accepted_pairs_become_columns_where_train_has_columns(endpoint, folder):
    lines = "".join(f'"{row["prompt"]}";"{row["answer"]}"\n' for row in TRAIN)
    (folder / "train.csv").write_text("domanda;risposta\n" + lines, encoding="utf-8")
    names = {"domanda": "prompt", "risposta": "answer"}
    _lines(folder / "test.jsonl", [{n: row[name] for n, name in names.items()} for row in TEST])
    overrides = ["data.columns={prompt: domanda, answer: risposta}"]
    recipe = _recipe(endpoint, "data.train=train.csv", *overrides)
    _write(recipe, folder)
    done = accept(recipe, folder)
    written = [json.loads(line) for line in done.path.read_text("utf-8").splitlines()]
    assert len(written) == 40
    assert all(list(row) == ["domanda", "risposta", "group", "origin"] for row in written)
    again = _recipe(endpoint, "data.train=a.accepted.jsonl", "data.group=group", *overrides)
    assert len(reading.read_subject(again, folder).train) == 40


def test_hashtags_are_asked_for_as_they_are_written(endpoint, folder):
    tags = [["#mare", "#vento"], ["#porto"], ["#scogli", "#luce"], ["#barca"]]
    for name, pairs in (("train", TRAIN), ("test", TEST)):
        rows = [{"text": p["prompt"], "hashtags": tags[i % 4]} for i, p in enumerate(pairs)]
        _lines(folder / f"{name}.jsonl", rows)
    endpoint.texts = [{"text": p["prompt"], "hashtags": tags[i % 4]} for i, p in enumerate(NEW)]
    endpoint.script = [[{"text": NEW[290]["prompt"], "hashtags": []}, *endpoint.texts[200:204]]]
    recipe = _recipe(endpoint, "synthesis.requests_at_once=1", task="hashtags")
    written, _ = _write(recipe, folder)
    assert [w.waiting for w in written] == [12, 8]
    rows = _rows(folder, tasks.get("hashtags"))
    assert (rows[0].status, rows[0].why) == ("refused", "empty: no answer")
    assert rows[1].fields["hashtags"] == ["#mare", "#vento"]  # as a person likes to edit it
    assert '"hashtags": ["#mare", "#vento"]' in endpoint.requests[0]["messages"][1]["content"]
    done = accept(recipe, folder)
    assert json.loads(done.path.read_text("utf-8").splitlines()[-1])["hashtags"] in tags


@pytest.mark.parametrize(("line", "message"), [
    ('{"status": "waiting", "prompt": "a", "answer": " "}', "line 2: no answer"),
    ('{"status": "waiting", "answer": "a"}', "line 2: no prompt"),
    ('{"status": "waitng", "prompt": "a", "answer": "b"}', "line 2: status is 'waitng'"),
    ('{"status": "waiting", "prompt": "a", "answer": "b", "why": 3}', "line 2: why is 3"),
])  # fmt: skip
def test_a_broken_review_line_is_named_and_nothing_is_written(line, message, endpoint, folder):
    good = '{"status": "waiting", "prompt": "perché no", "answer": "Perché sì."}'
    path = folder / "a.review.jsonl"
    path.write_text(f"{good}\n{line}\n{good}\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        accept(_recipe(endpoint), folder)
    assert not (folder / "a.accepted.jsonl").exists()


@pytest.mark.parametrize(("prompt", "message"), [
    ({"label": "reso"}, r"synthesis.prompts.label=reso does nothing.*name:"),
    ({"given": {"sistem": "x"}}, r"prompts.1.given: the model writes 'sistem', or nobody.*'system'"),
    ({"given": {"prompt": "x"}}, r"prompts.1.given: the model writes 'prompt'"),
    ({"given": {"system": "mai detto"}, "prompt": "come {examples}"}, r"no row of train can be shown"),
    ({"prompt": "come {label}"}, r"no placeholder \{label\}"),
])  # fmt: skip
def test_a_wrong_prompt_is_told_before_anything_is_sent(prompt, message, endpoint, folder):
    with pytest.raises(RecipeError, match=message):
        _write(_recipe(endpoint, prompts=[{"prompt": "x", "rows": 3, **prompt}]), folder)
    assert endpoint.requests == []
    assert not (folder / "a.review.jsonl").exists()


@pytest.mark.parametrize(("reply", "rows"), [
    ('[{"q": "a", "a": "b"}]', [{"q": "a", "a": "b"}]),
    ('Ecco: ```json\n{"dati": {"rows": [{"q": " a ", "a": ["b"], "id": 3}]}}\n```', [{"q": "a", "a": ["b"]}]),
    ('{"q": "a", "a": "b"}\n{"q": "c", "a": null}', [{"q": "a", "a": "b"}, {"q": "c", "a": ""}]),
    ('{"rows": [{"a": "b"}, {"q": " ", "a": "b"}, "x", 3]}', []),
    ("1. a\n2. b", []),
    ("<think>[{\"q\": \"no\", \"a\": \"no\"}]</think>Non posso.", []),
])  # fmt: skip
def test_rows_are_read_out_of_whatever_a_model_writes(reply, rows):
    assert read_rows(reply, ["q", "a"]) == rows
