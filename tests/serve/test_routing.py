"""No request is lost: whatever a model does, somebody answers, and the reply says who and why."""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import openai
import pytest

from conftest import LABELLED
from fucina import run, using
from fucina.rules import load_rules

from .conftest import RULES, served


class Faulty:
    """A real engine that goes wrong when it is told to.

    `fault` is raise, hang, nan, late (the words stop coming) or "" for none; `only` names the
    texts that it is for.
    """

    def __init__(self, engine):
        self.engine, self.fault, self.only, self.free = engine, "", "", threading.Event()
        self.name, self.labels = engine.name, getattr(engine, "labels", ())
        self.types, self.calls = getattr(engine, "types", ()), []

    def _go_wrong(self, texts):
        self.calls.append(len(texts))
        if not self.fault or not any(self.only in text for text in texts):
            return False
        if self.fault == "raise":
            raise RuntimeError("secret text of a user")
        if self.fault == "hang":
            self.free.wait(60)
        return self.fault == "nan"

    def label(self, prompts):
        nan = self._go_wrong(prompts)
        found = self.engine.label(prompts)
        if nan:
            bad = [self.only in prompt for prompt in prompts]
            found.probabilities[np.array(bad)] = np.nan
        return found

    def mark(self, prompts):
        nan = self._go_wrong(prompts)
        found = self.engine.mark(prompts)
        return (
            replace(found, confidences=tuple((float("nan"),) * len(own) for own in found.answers))
            if nan
            else found
        )

    def talk(self, example, sampling):
        for number, piece in enumerate(self.engine.talk(example, sampling)):
            if self.fault != "late" or number == 3:
                if self.fault == "late":
                    raise RuntimeError("broken")
                if self._go_wrong([example.prompt]):
                    raise FloatingPointError
            yield piece

    def complete(self, prompt, sampling):
        self._go_wrong([prompt])
        return self.engine.complete(prompt, sampling)


@contextmanager
def faulty(folder, **options):
    """The address of a server of one run, and its engine, which can be told to go wrong."""
    options = {"timeout_s": 1.0, **options}
    with served([folder], **options) as (url, app):
        catalog = app.state.hall.catalog
        (station,) = catalog.stations
        engine = Faulty(station.served.engine)
        catalog.exchange(replace(station.served, engine=engine))
        try:
            yield url, engine, app
        finally:
            engine.free.set()


FAULTS = [("raise", "error"), ("hang", "timeout"), ("nan", "nan")]


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
def test_rules_answer_where_the_model_fails(fault, reason, runs, web):
    rules = load_rules(run.rules_of(runs["kind"]))
    with faulty(runs["kind"], route={"threshold": 0}) as (url, engine, _):
        engine.fault = fault
        for text in ("dove sta il pacco", "/guasto adesso", "boh, perché"):
            reply = web(f"{url}/predict", {"text": text}).json()
            match = rules.match(text)
            assert (reply["answer"], reply["route"], reply["reason"]) == (
                match.label,
                "rules",
                reason,
            )
            assert (reply["rule"], reply.get("reply")) == (match.rule, match.reply)
        engine.fault = ""
        engine.free.set()
        time.sleep(0.3)
        reply = web(f"{url}/predict", {"text": LABELLED[0][0]}).json()
        assert (reply["route"], reply["answer"]) == (
            "model", using.predict(runs["kind"], [LABELLED[0][0]]).answers[0],
        )  # fmt: skip


@pytest.mark.parametrize("fault", ["raise", "nan"])
def test_a_text_that_breaks_the_model_leaves_its_neighbors_alone(fault, runs, web):
    texts = [text for text, _ in LABELLED[:12]]
    texts[5] = "veleno"
    alone = using.predict(runs["kind"], texts)
    with faulty(runs["kind"], route={"threshold": 0}) as (url, engine, _):
        engine.fault, engine.only = fault, "veleno"
        answers = web(f"{url}/predict/batch", {"texts": texts}).json()["answers"]
    assert [a["route"] for a in answers] == ["rules" if t == "veleno" else "model" for t in texts]
    assert [a["answer"] for a in answers if a["route"] == "model"] == [
        answer for text, answer in zip(texts, alone.answers, strict=True) if text != "veleno"
    ]


def test_under_the_threshold_rules_answer_and_the_reply_says_so(runs, web):
    text = "dove ordine pacco città"
    sure = float(using.predict(runs["kind"], [text]).confidences[0])
    for threshold, route in ((sure - 0.001, "model"), (sure + 0.001, "rules")):
        with served([runs["kind"]], route={"threshold": min(1, threshold)}) as (url, _):
            reply = web(f"{url}/predict", {"text": text}).json()
            assert reply["route"] == route
            assert reply["confidence"] == pytest.approx(sure, abs=1e-5)
    assert reply["reason"] == "unsure"
    assert reply["answer"] == "ordine"
    assert "is under" in reply["note"]


def test_without_rules_an_unsure_model_says_what_it_would_have_said(runs, web):
    with served([runs["cose"], runs["kind"]], route={"threshold": 1}) as (url, app):
        catalog = app.state.hall.catalog
        kind = next(s for s in catalog.stations if s.served.name == "kind")
        catalog.exchange(replace(kind.served, rules=None))
        reply = web(f"{url}/predict", {"model": "kind", "text": "dove ordine"}).json()
        assert (reply["answer"], reply["route"], reply["reason"]) == (None, "none", "unsure")
        assert reply["guess"] == using.predict(runs["kind"], ["dove ordine"]).answers[0]


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
def test_another_model_answers_where_no_rule_does(fault, reason, runs, web, endpoint):
    endpoint.reply = lambda content: "Direi: guasto." if "nero" in content else "boh"
    route = {"threshold": 0, "url": endpoint.url, "model": "grande"}
    with faulty(runs["kind"], route=route) as (url, engine, app):
        (station,) = app.state.hall.catalog.stations
        app.state.hall.catalog.exchange(replace(station.served, rules=None))
        engine.fault = fault
        reply = web(f"{url}/predict", {"text": "schermo nero"}).json()
        assert (reply["answer"], reply["route"], reply["reason"]) == ("guasto", "endpoint", reason)
        told = endpoint.requests[-1]["messages"]
        assert "guasto, ordine, rimborso" in told[0]["content"]
        lost = web(f"{url}/predict", {"text": "mah"})
        assert lost.status_code == 503
        assert "the other model failed" in lost.json()["error"]["message"]
        assert lost.headers["retry-after"] == "1"


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
def test_a_marker_and_a_writer_have_rules_too(fault, reason, runs, web, tmp_path):
    written = tmp_path / "rules.yaml"
    written.write_text(
        "rules:\n  - {label: COSA, keywords: [schermo]}\n  - {reply: Sta di sopra., keywords: Ada}\n"
    )
    route = {"rules": str(written)}
    with faulty(runs["cose"], route=route) as (url, engine, _):
        engine.fault = fault
        reply = web(f"{url}/predict", {"text": "lo schermo nero"}).json()
        if fault == "nan" and reply["route"] == "model":
            assert reply["answer"] == []  # it marked nothing, so nothing was no number
        else:
            assert (reply["route"], reply["reason"]) == ("rules", reason)
            assert reply["answer"] == [{"start": 3, "end": 10, "label": "COSA", "text": "schermo"}]
    with faulty(runs["talk"], route=route, timeout_s=0.1) as (url, engine, _):
        engine.fault = fault
        reply = web(f"{url}/predict", {"text": "Dove sta Ada?"}).json()
        assert (reply["answer"], reply["route"], reply["reason"]) == (
            "Sta di sopra.",
            "rules",
            reason,
        )
        lost = web(f"{url}/predict", {"text": "Dove sta Ugo?"})
        assert lost.status_code == 503


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "reason"), FAULTS)
def test_the_official_client_gets_the_rules_answer(fault, reason, stream, runs, tmp_path):
    written = tmp_path / "rules.yaml"
    written.write_text("rules: []\nreply: Chiedi al banco.\n")
    with (
        faulty(runs["talk"], route={"rules": str(written)}, timeout_s=0.1) as (url, engine, _),
        openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client,
    ):
        engine.fault = fault
        reply = client.chat.completions.create(
            model="talk", messages=[{"role": "user", "content": "Dove sta Ada?"}], stream=stream
        )
        if stream:
            chunks = list(reply)
            said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            told = next(c.model_extra["fucina"] for c in chunks if "fucina" in c.model_extra)
        else:
            said, told = reply.choices[0].message.content, reply.model_extra["fucina"]
        assert said == "Chiedi al banco."
        assert (told["route"], told["reason"]) == ("rules", reason)


def test_a_stream_that_breaks_off_says_that_it_is_no_answer(runs, tmp_path):
    written = tmp_path / "rules.yaml"
    written.write_text("rules: []\nreply: Chiedi al banco.\n")
    with (
        faulty(runs["talk"], route={"rules": str(written)}) as (url, engine, _),
        openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client,
    ):
        engine.fault = "late"
        stream = client.chat.completions.create(
            model="talk", messages=[{"role": "user", "content": "Dove sta Ada?"}], stream=True
        )
        said = []
        with pytest.raises(openai.APIError, match="did not answer"):
            said.extend(chunk.choices[0].delta.content for chunk in stream)
        assert any(said)


def test_a_model_that_hangs_again_and_again_is_gone_around(runs, web):
    with faulty(runs["kind"], timeout_s=0.3) as (url, engine, _):
        engine.fault = "hang"
        routes = []
        for _ in range(5):
            reply = web(f"{url}/predict", {"text": "il pacco"}).json()
            routes.append((reply["route"], reply["reason"], reply["answer"]))
            time.sleep(0.1)
        assert routes == [("rules", "timeout", "ordine")] * 5
        began = time.monotonic()
        note = web(f"{url}/predict", {"text": "il pacco"}).json()["note"]
        assert note == "the model hangs"
        assert time.monotonic() - began < 0.3  # nobody waits for it any more


def test_who_answered_is_counted_and_nothing_of_what_was_asked(runs, web, caplog):
    with caplog.at_level("INFO", "fucina.serve"), faulty(runs["kind"]) as (url, engine, _):
        web(f"{url}/predict", {"text": "un segreto mio"})
        engine.fault = "raise"
        web(f"{url}/predict", {"text": "un segreto del pacco"})
        web(f"{url}/predict/batch", {"texts": ["segreto 1", "segreto 2"]})
        counts = web(f"{url}/metrics").text
    assert 'fucina_answers_total{model="kind",reason="error",route="rules"} 3.0' in counts
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name == "fucina.serve"]
    predicted = [line for line in lines if line["path"] == "/predict"]
    assert [line["route"] for line in predicted][-1] == "rules"
    assert [line["reason"] for line in predicted if line["route"] == "rules"] == ["error"]
    assert all({"id", "status", "ms", "time", "rows", "model"} <= set(line) for line in predicted)
    assert "segret" not in caplog.text
    assert "segret" not in counts
    with (
        caplog.at_level("INFO", "fucina.serve"),
        served([runs["kind"]], log_texts=True) as (url, _),
    ):
        web(f"{url}/predict", {"text": "detto così"})
    assert "detto così" in caplog.text


def test_the_rules_that_answer_are_those_that_were_the_baseline(runs):
    kept = run.rules_of(runs["kind"]).read_text(encoding="utf-8")
    assert kept == RULES
    judged = run.read_json(runs["kind"] / "metrics.json")["baselines"]
    assert "rules" in [baseline["name"] for baseline in judged]


def test_a_model_of_another_server_is_served_with_rules_in_its_place(endpoint, tmp_path, web):
    written = tmp_path / "rules.yaml"
    written.write_text("rules: [{keywords: Ada, reply: Sta di sopra.}]\n")
    stream = 'data: {"choices": [{"delta": {"content": "Così."}, "finish_reason": "stop"}]}\n\n'
    endpoint.script = [(200, {"Content-Type": "text/event-stream"}, stream), (500, {}, {})]
    with served([f"{endpoint.url}#grande"], route={"rules": str(written)}) as (url, _):
        body = {"model": "grande", "messages": [{"role": "user", "content": "Dove sta Ada?"}]}
        first, second = (web(f"{url}/v1/chat/completions", body).json() for _ in range(2))
    assert first["choices"][0]["message"]["content"] == "Così."
    assert first["fucina"]["route"] == "model"
    assert second["choices"][0]["message"]["content"] == "Sta di sopra."
    assert (second["fucina"]["route"], second["fucina"]["reason"]) == ("rules", "error")


@pytest.mark.parametrize(("given", "message"), [
    ("http://127.0.0.1:9/v1", "which model of"), ("http:///v1#x", "no address"),
    ("https://example.org/v1#x", "no key"),
])  # fmt: skip
def test_an_address_that_is_none_is_refused(given, message):
    from fucina.errors import RecipeError

    with pytest.raises(RecipeError, match=message), served([given]):
        pass


def test_a_gguf_file_is_served_by_llama_cpp(tmp_path, web):
    pytest.importorskip("llama_cpp")
    from pathlib import Path

    import fucina
    from fucina.engines import Sampling
    from fucina.engines.llama import LlamaTalker
    from fucina.export import gguf
    from fucina.records import Example

    path = tmp_path / "mare.gguf"
    gguf.write(Path(fucina.__file__).parent / "bases/favilla", path, "Q8_0")
    alone = LlamaTalker(path)
    said = "".join(p.text for p in alone.talk(Example("Ciao!", ""), Sampling(max_tokens=8)))
    alone.close()
    with served([path], timeout_s=30) as (url, _):
        body = {
            "model": "mare",
            "messages": [{"role": "user", "content": "Ciao!"}],
            "max_tokens": 8,
        }
        reply = web(f"{url}/v1/chat/completions", body).json()
        (model,) = web(f"{url}/v1/models").json()["data"]
    assert reply["choices"][0]["message"]["content"] == said
    assert model["fucina"]["engine"] == "llama.cpp Q8_0"
