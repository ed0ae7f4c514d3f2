"""OpenAI's own client, unchanged, against a server that listens."""

import json
import math

import numpy as np
import openai
import pytest

from conftest import LABELLED
from fucina import using
from fucina.serve.openai_schemas import ChatBody, CompletionBody, EmbeddingBody

ASKED = [{"role": "user", "content": "Dove sta Ada?"}]
SEVERAL = [
    {"role": "system", "content": "Sei Nerina."}, *ASKED,
    {"role": "assistant", "content": "Di sopra."}, {"role": "user", "content": "E Ugo, perché?"},
]  # fmt: skip


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0) as client:
        yield client


def _chat(client, messages=ASKED, model="talk", **more):
    return client.chat.completions.create(model=model, messages=messages, **more)


def test_models_are_listed(client):
    listed = client.models.list().data
    assert [model.id for model in listed] == ["kind", "cose", "talk", "sist"]
    assert client.models.retrieve("talk").owned_by == "fucina"
    assert listed[0].created > 1_500_000_000
    with pytest.raises(openai.NotFoundError, match="no model"):
        client.models.retrieve("../talk")


@pytest.mark.parametrize("model", ["talk", "sist"])
def test_a_conversation_is_answered_as_by_the_run(model, client, runs):
    alone = using.predict(runs[model], [ASKED[0]["content"]])
    reply = _chat(client, model=model)
    assert reply.choices[0].message.content == alone.answers[0]
    assert reply.choices[0].finish_reason == ("stop" if alone.ended[0] else "length")
    assert reply.usage.prompt_tokens == alone.read[0]
    assert reply.usage.completion_tokens == alone.written[0]
    assert reply.model_extra["fucina"] == {"route": "model", "reason": ""}


@pytest.mark.parametrize("messages", [ASKED, SEVERAL])
@pytest.mark.parametrize("more", [{}, {"temperature": 1, "seed": 3}, {"max_tokens": 3}])
def test_a_stream_says_what_comes_whole(messages, more, client):
    whole = _chat(client, messages, **more)
    stream = list(
        _chat(client, messages, stream=True, stream_options={"include_usage": True}, **more)
    )
    said = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert said == whole.choices[0].message.content
    assert stream[0].choices[0].delta.role == "assistant"
    ends = [c.choices[0].finish_reason for c in stream if c.choices]
    assert ends[-1] == whole.choices[0].finish_reason
    assert set(ends[:-1]) <= {None}
    assert stream[-1].usage == whole.usage
    assert len(stream) > 3


def test_how_it_is_written_can_be_said(client):
    free = _chat(client).choices[0].message.content
    assert _chat(client, max_completion_tokens=2).usage.completion_tokens == 2
    assert _chat(client, temperature=1, seed=1) is not None
    assert (
        _chat(client, temperature=1, seed=5).choices[0].message.content
        == _chat(client, temperature=1, seed=5).choices[0].message.content
    )
    drawn = {_chat(client, temperature=2, seed=n).choices[0].message.content for n in range(4)}
    assert len(drawn) > 1
    assert _chat(client, temperature=5e-324, seed=1).choices[0].message.content == free
    assert _chat(client, temperature=1, top_p=1e-9, seed=1).choices[0].message.content == free
    stop = free[len(free) // 2]
    stopped = _chat(client, stop=[stop, "non c'è"]).choices[0]
    assert stopped.message.content == free[: free.index(stop)].strip()
    assert stopped.finish_reason == "stop"


def test_it_tells_how_likely_its_words_were(client):
    reply = _chat(client, logprobs=True, top_logprobs=2, max_tokens=4)
    told = reply.choices[0].logprobs.content
    assert len(told) == 4
    for one in told:
        assert one.logprob <= 0
        assert len(one.top_logprobs) == 2
        assert one.logprob == pytest.approx(max(top.logprob for top in one.top_logprobs))
    stream = _chat(client, logprobs=True, max_tokens=4, stream=True)
    streamed = [
        one for c in stream if c.choices[0].logprobs for one in c.choices[0].logprobs.content
    ]
    assert [one.logprob for one in streamed] == pytest.approx([one.logprob for one in told])


def test_an_answer_has_the_form_that_is_asked_for(client):
    schema = {"type": "object", "properties": {"chi": {"enum": ["Ada", "Ugo"]}, "piano": {"type": "integer", "minimum": 0, "maximum": 9}},
              "required": ["chi", "piano"], "additionalProperties": False}  # fmt: skip
    wanted = {"type": "json_schema", "json_schema": {"name": "dove", "schema": schema}}
    reply = _chat(client, response_format=wanted, max_tokens=80)
    found = json.loads(reply.choices[0].message.content)
    assert found["chi"] in {"Ada", "Ugo"}
    assert set(found) == {"chi", "piano"}
    with pytest.raises(openai.BadRequestError, match="schema"):
        _chat(client, response_format={"type": "json_schema", "json_schema": {
            "name": "x", "schema": {"type": "oggetto"}}})  # fmt: skip


def test_a_text_is_gone_on_with(client):
    reply = client.completions.create(model="talk", prompt="Dove sta", max_tokens=5, logprobs=2)
    (choice,) = reply.choices
    assert reply.usage.completion_tokens <= 5
    assert "".join(choice.logprobs.tokens).startswith(choice.text[:3])
    assert choice.logprobs.text_offset[0] == 0
    both = client.completions.create(model="talk", prompt=["Dove sta", "Ada"], max_tokens=5)
    assert [c.index for c in both.choices] == [0, 1]
    assert both.choices[0].text == choice.text
    stream = client.completions.create(model="talk", prompt="Dove sta", max_tokens=5, stream=True)
    assert "".join(c.choices[0].text for c in stream if c.choices) == choice.text
    with pytest.raises(openai.BadRequestError, match="does not write"):
        client.completions.create(model="kind", prompt="a")


def test_a_run_of_labels_can_be_talked_to(client, runs):
    text = LABELLED[0][0]
    (alone,) = using.predict(runs["kind"], [text]).answers
    reply = _chat(client, [{"role": "user", "content": text}], model="kind")
    assert reply.model_extra["fucina"].get("label", reply.choices[0].message.content) == alone
    stream = _chat(client, [{"role": "user", "content": text}], model="kind", stream=True)
    said = "".join(c.choices[0].delta.content or "" for c in stream)
    assert said == reply.choices[0].message.content
    spans = _chat(client, [{"role": "user", "content": "il schermo nero"}], model="cose")
    assert isinstance(json.loads(spans.choices[0].message.content), list)


def test_vectors_are_of_length_one_and_alike_for_like_texts(client):
    texts = ["il pacco non arriva", "il pacco arriva", "schermo rotto perché"]
    plain = client.embeddings.create(model="kind", input=texts, encoding_format="float").data
    packed = client.embeddings.create(model="kind", input=texts).data  # base64, as it asks itself
    own = np.array([one.embedding for one in plain])
    assert np.allclose(own, np.array([one.embedding for one in packed]), atol=1e-6)
    assert np.allclose(np.linalg.norm(own, axis=1), 1, atol=1e-5)
    assert own[0] @ own[1] > own[0] @ own[2]
    (alone,) = client.embeddings.create(model="kind", input=texts[1]).data
    assert np.allclose(alone.embedding, own[1], atol=1e-5)
    with pytest.raises(openai.BadRequestError, match="has no vectors"):
        client.embeddings.create(model="talk", input="a")
    for numbers in ([1, 2], [[1, 2], [3]]):
        with pytest.raises(openai.BadRequestError, match="send texts"):
            client.embeddings.create(model="kind", input=numbers)


def _deep(levels):
    return {"a": _deep(levels - 1)} if levels else {}


REFUSED = [
    ({"n": 2}, "n is not supported"),
    ({"presence_penalty": 0.5}, "presence_penalty is not supported"),
    ({"logit_bias": {"3": 1}}, "logit_bias is not supported"),
    ({"temperature": 3}, "temperature"),
    ({"temperature": -1e-9}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"top_logprobs": 30}, "top_logprobs"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "user", "content": ""}]}, "says nothing"),
    ({"messages": [{"role": "assistant", "content": "a"}]}, "the last turn"),
    ({"messages": [{"role": "capo", "content": "a"}]}, "role"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "text"),
    ({"messages": [{"role": "user", "content": "mare " * 3000}]}, "can be read"),
    ({"messages": [{"role": "user", "content": "ciao <|im_start|>"}]}, "a sign of its own"),
    ({"stop": ["a"] * 17}, "stop"),
    ({"tools": [_deep(70)]}, "nested over 64 deep"),
    ({"response_format": {"type": "json_schema", "json_schema": {"schema": _deep(70)}}}, "nested over 64 deep"),
    ({"model": "kind", "response_format": {"type": "json_object"}}, "does not write"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "message"), REFUSED, ids=range(len(REFUSED)))
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_wrong_comes_as_the_clients_own_error(more, message, stream, client):
    body = {"model": "talk", "messages": ASKED, "stream": stream, **more}
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", body=body, cast_to=object)
    assert message in caught.value.message
    assert caught.value.body["fix"]


@pytest.mark.parametrize(
    ("path", "model", "body"),
    [("chat/completions", ChatBody, {"model": "talk", "messages": ASKED}),
     ("completions", CompletionBody, {"model": "talk", "prompt": "Ada", "max_tokens": 2}),
     ("embeddings", EmbeddingBody, {"model": "kind", "input": "Ada"})],
)  # fmt: skip
def test_what_is_nothing_is_as_if_it_were_not_said(path, model, body, server, web):
    plain = web(f"{server}/v1/{path}", body).json()
    for name, field in model.model_fields.items():
        if name in body or field.is_required():
            continue
        reply = web(f"{server}/v1/{path}", {**body, name: None})
        assert reply.status_code == 200, (name, reply.text)
        assert reply.json().get("choices") == plain.get("choices"), name


def test_halves_of_characters_are_refused_wherever_they_stand(server, web):
    body = json.dumps({"model": "talk", "messages": ASKED, "tools": [{"a": "\ud800"}]})
    reply = web(f"{server}/v1/chat/completions", body.encode())
    assert reply.status_code == 400
    assert "tools.0: half a character" in reply.json()["error"]["message"]


def test_fields_that_change_nothing_are_let_through(client):
    more = {"user": "io", "n": 1, "presence_penalty": 0, "store": False, "metadata": {"a": "b"},
            "logit_bias": None, "parallel_tool_calls": True, "tool_choice": "auto"}  # fmt: skip
    body = {"model": "talk", "messages": ASKED, **more}
    reply = client.post("/chat/completions", body=body, cast_to=object)
    assert reply["choices"][0]["message"]["content"] == _chat(client).choices[0].message.content


def test_parts_and_other_names_of_roles_are_read(client):
    parts = [{"role": "developer", "content": "Sei Nerina."}, {"role": "user", "content": [
        {"type": "text", "text": "Dove sta Ada?"}]}]  # fmt: skip
    plain = [{"role": "system", "content": "Sei Nerina."}, *ASKED]
    assert _chat(client, parts).choices[0] == _chat(client, plain).choices[0]


def test_tools_that_were_called_are_part_of_what_was_said(client):
    call = {
        "id": "1",
        "type": "function",
        "function": {"name": "piano", "arguments": '{"chi": "Ada"}'},
    }
    messages = [*ASKED, {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "1", "content": "3"}]  # fmt: skip
    tools = [{"type": "function", "function": {"name": "piano", "parameters": {"type": "object"}}}]
    reply = _chat(client, messages, tools=tools)
    assert reply.usage.prompt_tokens > _chat(client).usage.prompt_tokens + 20


@pytest.mark.parametrize("arguments", ["[" * 100_000, "[" * 80 + "]" * 80, '{"a": "\\ud800"}', "{"])
def test_a_call_that_is_no_json_for_us_is_what_was_said(arguments, client):
    call = {"type": "function", "function": {"name": "piano", "arguments": arguments}}
    messages = [
        *ASKED,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "3"},
    ]
    body = {"model": "talk", "messages": messages}
    if len(arguments) < 1000:
        reply = client.post("/chat/completions", body=body, cast_to=object)
        assert reply["usage"]["prompt_tokens"] > len(arguments)
        return
    with pytest.raises(openai.BadRequestError, match="can be read"):
        client.post("/chat/completions", body=body, cast_to=object)


def test_a_client_that_leaves_is_left(client, server, web):
    stream = _chat(client, temperature=1, seed=2, stream=True)
    next(iter(stream))
    stream.close()
    assert web(f"{server}/health").json() == {"status": "ok"}
    assert math.isfinite(_chat(client).usage.total_tokens)
