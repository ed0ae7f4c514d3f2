"""Texts from a model: whatever the server does, nothing that came is lost, and no test row leaves."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest

from fucina import reading, review, tasks
from fucina.endpoint import read_rows
from fucina.errors import DataError, EndpointError, RecipeError
from fucina.recipe import dump, load, parse
from fucina.synthesized import accept, write_examples

WORDS = (
    "quando arriva il corriere ieri mattina vorrei sapere perché nessuno risponde al telefono della "
    "vostra sede centrale mentre aspetto ancora una conferma scritta sulla spedizione promessa dal "
    "negozio vicino casa mia oppure dovrei cambiare taglia colore modello prima che scada la garanzia "
    "senza pagare altre spese inutili come successo durante le feste scorse con quel vecchio divano "
    "grigio comprato insieme alla lampada rotta subito dopo averla accesa nella stanza grande"
).split()


def _sentences(count, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=10, replace=False)) for _ in range(count)]


TASK = tasks.get("classification")
TRAIN, TEST, NEW = _sentences(20, 1), _sentences(6, 2), _sentences(300, 3)


@pytest.fixture
def folder(tmp_path):
    for name, texts in (("train", TRAIN), ("test", TEST)):
        lines = [
            json.dumps({"text": t, "label": ("reso", "ordine")[i % 2]}) for i, t in enumerate(texts)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


@pytest.fixture(autouse=True)
def _texts(endpoint):
    endpoint.texts = list(NEW)


PROMPTS = [
    {"label": "reso", "prompt": "Scrivi {rows} frasi di {label}, come: {examples}", "rows": 12},
    {"label": "ordine", "prompt": 'Frasi per {label}: {"perché": []}', "rows": 8},
]


def _recipe(endpoint, *overrides, prompts=PROMPTS):
    section = {"url": endpoint.url, "model": "piccolo", "rows_per_request": 5, "prompts": prompts}
    text = json.dumps({
        "task": "classification", "name": "a", "synthesis": section,
        "data": {"train": "train.jsonl", "test": "test.jsonl"},
    })  # fmt: skip
    return parse(text, overrides)[0]


def _write(recipe, folder, key=""):
    """Write examples, and give the pauses that were asked for, none of which was slept."""
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    return write_examples(recipe, folder, key, sleep=sleep), pauses


def _edited(row, **fields):
    return replace(row, fields={**row.fields, **fields})


def _rows(folder):
    return review.read(folder / "a.review.jsonl", TASK)


def test_every_prompt_gets_its_rows_with_origin_and_group(endpoint, folder):
    written, pauses = _write(_recipe(endpoint), folder)
    assert [(w.name, w.waiting, w.problem) for w in written] == [
        ("reso", 12, ""),
        ("ordine", 8, ""),
    ]
    assert pauses == []
    rows = _rows(folder)
    assert {row.status for row in rows} == {"waiting"}
    assert {(row.fields["label"], row.origin, row.group) for row in rows} == {
        ("reso", "synthetic:piccolo:1", "synthetic:piccolo:1"),
        ("ordine", "synthetic:piccolo:2", "synthetic:piccolo:2"),
    }  # fmt: skip
    assert len({row.fields["text"] for row in rows}) == 20
    assert all(body["response_format"] == {"type": "json_object"} for body in endpoint.requests)
    assert all(body["model"] == "piccolo" for body in endpoint.requests)


def test_only_rows_of_train_with_that_label_are_shown_and_each_request_shows_others(
    endpoint, folder
):
    # A row of train that says what a test row says, and one with somebody's data, stay here too.
    with (folder / "train.jsonl").open("a", encoding="utf-8") as file:
        for text in (f"{TEST[0]}!", f"{TRAIN[0]} scrivete a anna.verdi@posta.it"):
            file.write(json.dumps({"text": text, "label": "reso"}) + "\n")
    _write(_recipe(endpoint, "synthesis.examples_shown=100"), folder)
    asked = [body["messages"][-1]["content"] for body in endpoint.requests]
    sent = "\n".join(asked)
    assert all(text in sent for text in TRAIN[::2])
    assert not [text for text in [*TRAIN[1::2], *TEST] if text in sent]
    assert "anna.verdi" not in sent
    assert '{"perché": []}' in sent
    before = len(endpoint.requests)
    (folder / "a.review.jsonl").unlink()
    endpoint.texts = list(NEW)
    _write(_recipe(endpoint, "synthesis.examples_shown=3"), folder)
    few = [b["messages"][-1]["content"] for b in endpoint.requests[before:]]
    few = [content for content in few if "come: " in content]
    assert len(set(few)) == len(few) > 1
    assert all(content.count("\n- ") == 3 for content in few)


def test_without_a_test_file_no_row_is_shown(endpoint, folder):
    with pytest.raises(RecipeError, match=r"its rows could be sent out.*examples_shown=0"):
        _write(_recipe(endpoint, "data.test=null"), folder)
    assert endpoint.requests == []
    written, _ = _write(_recipe(endpoint, "data.test=null", "synthesis.examples_shown=0"), folder)
    assert written[0].waiting == 12
    assert not [t for t in TRAIN for b in endpoint.requests if t in b["messages"][-1]["content"]]


LATER = (429, {"Retry-After": "7"}, {"error": {"message": "slow down"}})
FAILURES = {
    "429": [LATER],
    "429 without a pause": [(429, {}, "")],
    "500": [(500, {}, "oops")],
    "503 twice": [(503, {}, {"error": "busy"}), (503, {}, "")],
    "closed connection": ["close"],
    "hang": ["hang"],
    "broken JSON": ['{"texts": ["una frase che non fin'],
    "no chat": [(200, {}, {"hello": "world"})],
    "no JSON at all": [(200, {}, "<html>")],
    "empty answer": [""],
    "no texts": [[]],
    "content is null": [(200, {}, {"choices": [{"message": {"content": None}}]})],
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_may_pass_is_survived(name, endpoint, folder):
    endpoint.script = list(FAILURES[name])
    # The hang ends by the limit; a busy machine still answers the others within it.
    limit = 1.0 if name == "hang" else 20
    written, pauses = _write(_recipe(endpoint, f"synthesis.timeout_s={limit}"), folder)
    assert [(w.waiting, w.problem) for w in written] == [(12, ""), (8, "")]
    assert len(pauses) == len(FAILURES[name])
    if name == "429":
        assert pauses == [7.0]
    else:
        assert all(0.5 <= pause <= 2 for pause in pauses)


def test_a_time_out_names_the_limit(endpoint, folder):
    endpoint.script = ["hang"]
    recipe = _recipe(
        endpoint, "synthesis.timeout_s=0.5", "synthesis.retries=0", prompts=PROMPTS[:1]
    )
    with pytest.raises(EndpointError, match=r"no answer in 0.5 seconds"):
        _write(parse(dump(recipe), ["synthesis.requests_at_once=1"])[0], folder)


def test_pauses_grow_and_differ(endpoint, folder):
    endpoint.script = [(500, {}, "")] * 6
    _, pauses = _write(
        _recipe(endpoint, "synthesis.requests_at_once=1", "synthesis.retries=6"), folder
    )
    for attempt, pause in enumerate(pauses):
        assert 2**attempt / 2 <= pause <= 2**attempt
    assert len(set(pauses)) == 6


def test_a_date_in_retry_after_is_waited_for(endpoint, folder):
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    endpoint.script = [(503, {"Retry-After": until}, "")]
    _, pauses = _write(_recipe(endpoint), folder)
    assert 80 <= pauses[0] <= 90


def test_a_server_that_asks_for_an_hour_is_asked_no_more(endpoint, folder):
    endpoint.script = [(429, {"Retry-After": "3600"}, "")]
    written, pauses = _write(_recipe(endpoint, "synthesis.requests_at_once=1"), folder)
    assert pauses == []
    assert "asks to wait 3600 seconds" in written[0].problem
    assert written[1].waiting == 8


def test_after_the_last_try_a_prompt_is_skipped_and_the_rest_goes_on(endpoint, folder):
    recipe = _recipe(endpoint, "synthesis.requests_at_once=1", "synthesis.retries=2")
    endpoint.script = [NEW[200:205], *[(500, {}, {"error": {"message": "è rotto"}})] * 3]
    written, pauses = _write(recipe, folder)
    # The first reply was prompt 1's; prompt 2 lacked more then, and got the failures.
    assert (written[0].waiting, written[1].waiting) == (12, 0)
    assert "è rotto" in written[1].problem
    assert "(tries: 3)" in written[1].problem
    assert len(pauses) == 2
    again, _ = _write(recipe, folder)
    assert [(w.waiting, w.problem) for w in again] == [(12, ""), (8, "")]


REFUSALS = [
    (401, "Set FUCINA_API_KEY"),
    (403, "Set FUCINA_API_KEY"),
    (404, "Check synthesis.url"),
    (413, "Mend in the section synthesis"),
    (307, "Set synthesis.url to where it leads: http://elsewhere/v1"),
]


@pytest.mark.parametrize(("status", "fix"), REFUSALS)
def test_a_refusal_stops_at_once_with_the_fix_and_without_the_key(status, fix, endpoint, folder):
    key = "chiave-segreta-123"
    recipe = _recipe(endpoint, "synthesis.requests_at_once=1")
    where = {"Location": "http://elsewhere/v1"} if status == 307 else {}
    endpoint.script = [NEW[200:205], (status, where, {"error": {"message": f"bad key {key}"}})]
    with pytest.raises(EndpointError) as caught:
        _write(recipe, folder, key)
    assert f"answers {status}: bad key …" in caught.value.problem
    assert fix in caught.value.fix
    assert key not in str(caught.value)
    assert len(endpoint.requests) == 2
    assert len(_rows(folder)) == 5  # what came before is kept
    assert endpoint.headers[0]["Authorization"] == f"Bearer {key}"
    assert all(key not in path.read_text("utf-8") for path in folder.iterdir())


def test_a_server_without_json_mode_is_asked_without(endpoint, folder):
    endpoint.script = [(400, {}, {"error": "response_format is not supported"})]
    written, pauses = _write(_recipe(endpoint, "synthesis.requests_at_once=1"), folder)
    assert written[0].waiting == 12
    assert pauses == []
    assert [i for i, body in enumerate(endpoint.requests) if "response_format" in body] == [0]


def test_a_400_for_another_reason_is_told(endpoint, folder):
    endpoint.script = [(400, {}, {"error": {"message": "unknown model"}})] * 2
    with pytest.raises(EndpointError, match="unknown model"):
        _write(_recipe(endpoint, "synthesis.requests_at_once=1"), folder)
    assert len(endpoint.requests) == 2


def test_an_endpoint_that_is_not_there_is_an_error(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens

        class Nowhere:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"

        with pytest.raises(EndpointError, match=r"nothing came: .*ConnectError"):
            _write(_recipe(Nowhere, "synthesis.retries=1"), folder)
    assert not (folder / "a.review.jsonl").exists()


def test_requests_go_at_once_but_not_more_than_allowed(endpoint, folder):
    endpoint.slow_s = 0.1
    _write(
        _recipe(endpoint, "synthesis.requests_at_once=3", "synthesis.rows_per_request=2"), folder
    )
    assert 2 <= endpoint.most_at_once <= 3


def test_what_the_audit_would_find_is_refused_and_counted(endpoint, folder):
    bad = {
        "broken letters": "perchÃ© la consegna non è arrivata dal corriere ieri mattina",
        "personal data: e-mail": "scrivete a mario.rossi@posta.it quando arriva il corriere",
        "nearly held out: test.jsonl:1": TEST[0].upper() + "!",
        "nearly in train: train.jsonl:3": TRAIN[2] + ".",
        "nearly a repetition: synthetic:piccolo:1": NEW[100] + "?",
        "another language: en": "I would like to return the shoes that I bought last week, please",
        "unusual length: 5 characters": "eh sì",
    }
    endpoint.script = [[NEW[100], *bad.values()]]
    written, _ = _write(_recipe(endpoint, prompts=PROMPTS[:1]), folder)
    refused = {row.why: row.fields["text"] for row in _rows(folder) if row.status == "refused"}
    assert refused == bad
    assert written[0].waiting >= 12
    assert written[0].refused == dict.fromkeys((why.partition(":")[0] for why in bad), 1)


def test_a_model_that_repeats_itself_is_not_asked_for_ever(endpoint, folder):
    endpoint.script = [NEW[:4]] * 50
    written, _ = _write(
        _recipe(endpoint, "synthesis.requests_at_once=1", prompts=PROMPTS[:1]), folder
    )
    assert "brought nothing new" in written[0].problem
    assert len(endpoint.requests) == 4


def test_a_rerun_asks_for_what_is_missing_only(endpoint, folder):
    _write(_recipe(endpoint), folder)
    count = len(endpoint.requests)
    _write(_recipe(endpoint), folder)
    assert len(endpoint.requests) == count
    rows = _rows(folder)
    # A person refuses two and edits one; prompts have changed places since.
    rows[0] = replace(rows[0], status="refused")
    rows[1] = replace(rows[1], status="refused")
    rows[2] = _edited(rows[2], text="un testo ritoccato a mano, perché sì")
    review.write(folder / "a.review.jsonl", rows)
    written, _ = _write(_recipe(endpoint, prompts=PROMPTS[::-1]), folder)
    assert {w.name: w.waiting for w in written} == {"reso": 12, "ordine": 8}
    assert len(_rows(folder)) == 22
    assert sum(w.refused.get("by a person", 0) for w in written) == 2


def test_a_kill_in_the_middle_loses_nothing_that_came(endpoint, folder):
    recipe = folder / "recipe.yaml"
    recipe.write_text(dump(_recipe(endpoint, "synthesis.requests_at_once=1")), encoding="utf-8")
    endpoint.script = [NEW[200:205], NEW[205:210], "hang"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fucina", "synthesize", str(recipe)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(endpoint.requests) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert {row.fields["text"] for row in _rows(folder)} == set(NEW[200:210])
    # A kill may also tear a line; it is dropped, and does not spoil the next one.
    with (folder / "a.review.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"status": "waiting", "text": "perch')
    written, _ = _write(load(recipe)[0], folder)
    assert [(w.waiting, w.problem) for w in written] == [(12, ""), (8, "")]
    assert set(NEW[200:210]) < {row.fields["text"] for row in _rows(folder)}
    assert len(_rows(folder)) == 20


def test_a_last_line_without_line_end_is_kept(folder):
    path = folder / "a.review.jsonl"
    path.write_text('{"status": "waiting", "text": "è", "label": "reso"}', encoding="utf-8")
    review.append(path, [review.Reviewed("waiting", {"text": "là\u2028giù", "label": "reso"})])
    assert [row.fields["text"] for row in review.read(path, TASK)] == ["è", "là\u2028giù"]


@pytest.mark.parametrize(("line", "message"), [
    ('{"status": "waiting", "text": "a"', "line 2, column"),
    ('["a"]', "line 2: list where an object"),
    ('{"status": "waitng", "text": "a", "label": "reso"}', "line 2: status is 'waitng'.*did you mean 'waiting'"),
    ('{"status": "waiting", "text": " ", "label": "reso"}', "line 2: no text"),
    ('{"status": "waiting", "text": "a", "label": 3}', "line 2: label is 3"),
    ('{"status": "waiting", "text": "a", "label": "resi"}', "line 2: no row of train.*'resi'.*did you mean 'reso'"),
])  # fmt: skip
def test_a_broken_review_line_is_named_and_nothing_is_written(line, message, endpoint, folder):
    good = '{"status": "waiting", "text": "perché no", "label": "reso"}'
    path = folder / "a.review.jsonl"
    path.write_text(f"{good}\n{line}\n{good}\n", encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(DataError, match=message):
        accept(_recipe(endpoint), folder)
    assert path.read_bytes() == before
    assert not (folder / "a.accepted.jsonl").exists()


def test_accepted_rows_train_beside_the_rows_there_were(endpoint, folder):
    recipe = _recipe(endpoint)
    _write(recipe, folder)
    rows = _rows(folder)
    rows[0] = replace(rows[0], status="refused")
    rows[1] = _edited(rows[1], text="ritoccato: dov'è la città?", label="ordine")
    rows[2] = _edited(rows[2], text=f"{TEST[0]}!")
    review.write(folder / "a.review.jsonl", rows)
    done = accept(recipe, folder)
    assert (done.train, done.accepted, done.new) == (20, 18, 18)
    assert dict(done.refused) == {f"{TEST[0]}!": "test.jsonl:1"}
    statuses = [row.status for row in _rows(folder)]
    assert statuses == ["refused", "accepted", "refused", *["accepted"] * 17]
    trained, _ = reading.read(
        _recipe(endpoint, "data.train=a.accepted.jsonl", "data.group=group"), folder
    )
    texts = {e.prompt: e for e in trained.development.examples}
    assert texts["ritoccato: dov'è la città?"].target == "ordine"
    assert texts["ritoccato: dov'è la città?"].group
    assert set(TRAIN) < set(texts)
    before = (folder / "a.accepted.jsonl").read_bytes()
    again = accept(recipe, folder)
    assert (again.accepted, again.new) == (18, 0)
    assert (folder / "a.accepted.jsonl").read_bytes() == before


def test_nothing_to_accept_is_an_error(endpoint, folder):
    with pytest.raises(DataError, match=r"nothing to accept.*First run"):
        accept(_recipe(endpoint), folder)


@pytest.mark.parametrize(("override", "message"), [
    ("synthesis.url=ftp://a/v1", "'ftp://a/v1' is no address"),
    ("synthesis.url=localhost:11434", "is no address"),
    ("synthesis.url=http://localhost:port/v1", "is no address"),
    ("synthesis.url=https://example.com/v1", r"FUCINA_API_KEY is not set.*export FUCINA_API_KEY"),
    ("synthesis.prompts=[{label: resi, prompt: x, rows: 3}]", r"prompts.1: no row.*did you mean 'reso'"),
    ("synthesis.prompts=[{label: reso, prompt: 'x {lable}', rows: 3}]", r"no placeholder \{lable\}.*'label'"),
    ("synthesis=null", "no section synthesis"),
])  # fmt: skip
def test_a_wrong_setting_is_told_before_anything_is_sent(override, message, endpoint, folder):
    with pytest.raises(RecipeError, match=message):
        _write(_recipe(endpoint, override), folder)
    assert endpoint.requests == []
    assert not (folder / "a.review.jsonl").exists()


def test_a_key_with_signs_that_no_key_has_is_told_without_showing_it(endpoint, folder):
    with pytest.raises(RecipeError, match="has signs that no key has") as caught:
        _write(_recipe(endpoint), folder, "chiàve")
    assert "chiàve" not in str(caught.value)


@pytest.mark.parametrize(("reply", "texts"), [
    ('{"texts": ["perché?", " dov\'è? "]}', ["perché?", "dov'è?"]),
    ('["a", "b"]', ["a", "b"]),
    ('{"frasi": [{"text": "a"}, {"text": "b"}, 3, null]}', ["a", "b"]),
    ('{"result": {"texts": ["a"]}}', ["a"]),
    ('Ecco [bene]:\n```json\n{"texts": ["a"]}\n```\nSpero vada bene!', ["a"]),
    ('<think>["no"]</think>{"texts": ["a"]}', ["a"]),
    ("<think>senza fine [\"no\"]", []),
    ("1. perché?\n2) «dov'è?»\n- \"sì\"\n", ["perché?", "dov'è?", "sì"]),
    ("Non posso aiutarti.", []),
    ('{"texts": ["a", "b', []),
    ("[" * 100_000, []),
])  # fmt: skip
def test_texts_are_read_out_of_whatever_a_model_writes(reply, texts):
    assert [row["text"] for row in read_rows(reply, ["text"])] == texts


def test_a_recipe_with_prompts_survives_writing(endpoint):
    recipe = _recipe(endpoint)
    assert parse(dump(recipe))[0] == recipe
