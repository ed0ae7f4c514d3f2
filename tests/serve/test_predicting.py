"""The models of tasks over HTTP: what they answer here is what they answer without a server."""

import json

import numpy as np
import pytest

from conftest import LABELLED
from fucina import explaining, using
from fucina.explain import Wanted

TEXTS = [text for text, _ in LABELLED[:9]]


def test_a_label_is_the_one_that_the_run_gives_by_itself(server, runs, web):
    alone = using.predict(runs["kind"], TEXTS)
    for row, text in enumerate(TEXTS):
        reply = web(f"{server}/predict", {"model": "kind", "text": text}).json()
        assert (reply["answer"], reply["route"], reply["reason"]) == (
            alone.answers[row],
            "model",
            "",
        )
        assert reply["confidence"] == pytest.approx(alone.confidences[row], abs=1e-5)
        own = [reply["probabilities"][label] for label in alone.labels]
        assert np.allclose(own, alone.probabilities[row], atol=1e-5)


def test_the_first_run_answers_where_none_is_named(server, web):
    assert web(f"{server}/predict", {"text": "il pacco"}).json()["model"] == "kind"


def test_several_texts_are_answered_in_their_order(server, web):
    texts = [text for text, _ in LABELLED] * 3
    found = web(f"{server}/predict/batch", {"model": "kind", "texts": texts}).json()
    apart = [web(f"{server}/predict", {"model": "kind", "text": text}).json() for text in texts[:6]]
    assert [one["answer"] for one in found["answers"][:6]] == [one["answer"] for one in apart]
    assert len(found["answers"]) == len(texts)


def test_spans_have_their_places_and_words(server, runs, web):
    text = "non arriva il schermo nero"
    alone = using.predict(runs["cose"], [text])
    reply = web(f"{server}/predict", {"model": "cose", "text": text}).json()
    assert [(s["start"], s["end"], s["label"]) for s in reply["answer"]] == [
        (s.start, s.end, s.label) for s in alone.answers[0]
    ]
    assert reply["answer"]
    assert all(text[s["start"] : s["end"]] == s["text"] for s in reply["answer"])
    assert reply["cut"] is False


@pytest.mark.parametrize("name", ["talk", "sist"])
def test_a_text_is_written_as_the_run_writes_it(name, server, runs, web):
    asked = "Dove sta Ada?"
    alone = using.predict(runs[name], [asked])
    reply = web(f"{server}/predict", {"model": name, "text": asked}).json()
    assert reply["answer"] == alone.answers[0]
    assert (reply["prompt_tokens"], reply["answer_tokens"]) == (alone.read[0], alone.written[0])
    assert reply["ended"] == bool(alone.ended[0])
    both = {"model": name, "texts": [asked, "Dove sta Lia?"]}
    batch = web(f"{server}/predict/batch", both).json()
    assert batch["answers"][0]["answer"] == alone.answers[0]


def test_italian_survives(server, web):
    text = "Perché la città è così? L'app si blocca… «no» 🦊"
    assert web(f"{server}/predict", {"model": "kind", "text": text}).status_code == 200


WRONG = [
    (b"{", 400, "invalid_json"),
    (b"", 400, "invalid_request"),
    (b"[]", 400, "dictionary"),
    (b'{"text": 3}', 400, "text: "),
    (b'{"text": "a", "text2": "b"}', 400, "text2: "),
    (b'{"text": "  "}', 400, "there is no text"),
    (b'{"text": "\\ud800"}', 400, "half a character"),
    (b'{"text": "caff\xe8"}', 400, ""),
    (b'{"text": "a", "model": "nessuno"}', 404, "no model 'nessuno' is served"),
    (b'{"text": "a", "model": "../../etc/passwd"}', 404, "model_not_found"),
    (b'{"text": "a", "model": "kin"}', 404, "did you mean 'kind'?"),
    (b'{"text": "a", "model": "\\ud800"}', 400, "half a character"),
    (b'{"text": "a", "fields": {"database": "/etc/passwd"}}', 400, "takes no field"),
    (b'{"model": "talk", "text": "a", "fields": {"database": "x"}}', 400, "no field 'database'"),
    (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, ""),
    (b'{"text": ' + b"9" * 5000 + b"}", 400, ""),
    (b'{"text": "' + b"a" * 1_100_000 + b'"}', 413, "over 1024 KiB"),
    (b'{"model": "talk", "text": "<|im_end|>"}', 400, "a sign of its own"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "message"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_told_with_its_fix(body, status, message, server, web):
    reply = web(f"{server}/predict", body)
    error = reply.json()["error"]
    assert reply.status_code == status
    assert error["fix"]
    assert error["fix"] in error["message"]
    assert message in json.dumps(error, ensure_ascii=False)


def test_a_long_question_is_cut_as_in_training_and_that_is_told(server, runs, web):
    text = "mare " * 4000
    alone = using.predict(runs["talk"], [text])
    reply = web(f"{server}/predict", {"model": "talk", "text": text}).json()
    assert (reply["answer"], reply["cut"]) == (alone.answers[0], True)
    assert reply["prompt_tokens"] == alone.read[0]
    assert web(f"{server}/predict", {"model": "talk", "text": "Dove?"}).json()["cut"] is False


def test_too_many_texts_and_other_methods_are_refused(server, web):
    many = web(f"{server}/predict/batch", {"texts": ["a"] * 1025})
    assert (many.status_code, many.json()["error"]["param"]) == (400, "texts")
    assert web(f"{server}/predict/batch", {"texts": []}).status_code == 400
    assert web(f"{server}/predict").status_code == 405
    missing = web(f"{server}/../../etc/passwd")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "invalid_request")


def test_a_long_text_is_labelled_as_far_as_it_is_read(server, runs, web):
    text = "il pacco " * 20_000
    reply = web(f"{server}/predict", {"model": "kind", "text": text})
    assert reply.json()["answer"] == using.predict(runs["kind"], [text]).answers[0]


def test_what_is_not_served_says_so(server, web):
    for path, body in (("ask", {"question": "chi?"}), ("explain", {"model": "talk", "text": "a"})):
        reply = web(f"{server}/{path}", body)
        assert reply.status_code in {400, 404}
        assert reply.json()["error"]["fix"]


def test_which_words_decided_is_what_the_run_says_by_itself(server, runs, web):
    text = "voglio soldi indietro"
    (alone,) = explaining.explain_run(runs["kind"], [text], Wanted("gradients"))
    body = {"model": "kind", "text": text, "method": "gradients"}
    (found,) = web(f"{server}/explain", body).json()["explanations"]
    assert found["answer"] == alone.answer
    weights = [own["weight"] for own in found["words"]]
    assert weights == pytest.approx([own.value for own in alone.words], rel=1e-3, abs=1e-5)
    refused = web(f"{server}/explain", {**body, "label": "nessuno"})
    assert refused.status_code == 400
    assert "no label 'nessuno'" in refused.text
    marked = web(
        f"{server}/explain", {"model": "cose", "text": "non arriva il schermo nero"}
    ).json()
    assert all(
        one["span"]["text"] in "non arriva il schermo nero" for one in marked["explanations"]
    )
