import pytest

from fucina.endpoint import Server, converse, embed
from fucina.errors import EndpointError, RecipeError
from fucina.records import Message

TURNS = [Message("system", "Sei Ada."), Message("user", "Ciao?")]


def server(endpoint, protocol="openai", **more):
    return Server(
        endpoint.url, "m", "CHIAVE", retries=more.pop("retries", 0), protocol=protocol, **more
    )


def test_conversations_are_held_in_order_and_counted(endpoint):
    endpoint.reply = lambda content: f"hai detto {content}"
    asked = [[Message("user", f"numero {n}")] for n in range(9)]
    found = converse(server(endpoint), "k", asked, max_new_tokens=5, at_once=3, section="answer")
    assert [reply.text for reply in found] == [f"hai detto numero {n}" for n in range(9)]
    assert {(reply.prompt_tokens, reply.answer_tokens, reply.ended) for reply in found} == {
        (7, 3, True)
    }
    assert endpoint.most_at_once <= 3
    assert endpoint.requests[0]["max_tokens"] == 5
    assert endpoint.headers[0]["Authorization"] == "Bearer k"


def test_anthropic_has_its_own_place_key_and_turn_of_the_system(endpoint):
    endpoint.reply = lambda content: "Ciao!"
    (reply,) = converse(
        server(endpoint, "anthropic"), "k", [TURNS], max_new_tokens=5, section="answer"
    )
    assert (reply.text, reply.prompt_tokens, reply.answer_tokens) == ("Ciao!", 7, 3)
    asked = endpoint.requests[0]
    assert asked["system"] == "Sei Ada."
    assert asked["messages"] == [{"role": "user", "content": "Ciao?"}]
    headers = {name.lower(): value for name, value in endpoint.headers[0].items()}
    assert headers["x-api-key"] == "k"
    assert headers["anthropic-version"]
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        ((401, {}, {"error": {"message": "sk-123 is no key"}}), "answers 401: … is no key"),
        ((404, {}, {"error": "no model"}), "answers 404"),
        ((200, {}, {"something": "else"}), "an answer that is none of openai"),
        ((200, {}, "<html>"), "an answer that is none of openai"),
        ("close", "Error"),
    ],
)
def test_what_goes_wrong_is_told_without_the_key(endpoint, act, problem):
    endpoint.script = [act]
    with pytest.raises(EndpointError) as caught:
        converse(server(endpoint), "sk-123", [TURNS], max_new_tokens=5, section="answer")
    assert "sk-123" not in str(caught.value)
    assert problem in str(caught.value)
    assert (
        "answer.model" in caught.value.fix
        or "later" in caught.value.fix
        or "CHIAVE" in caught.value.fix
    )


def test_overload_passes(endpoint):
    endpoint.script = [(429, {"Retry-After": "0"}, {}), "ecco"]
    (reply,) = converse(
        server(endpoint, retries=1), "", [TURNS], max_new_tokens=5, section="answer"
    )
    assert reply.text == "ecco"


def test_a_server_elsewhere_wants_a_key():
    far = Server("https://example.com/v1", "m", "CHIAVE")
    with pytest.raises(RecipeError, match="the variable CHIAVE is not set"):
        converse(far, "", [TURNS], max_new_tokens=5, section="answer")


def test_texts_are_embedded_in_batches_and_their_order(endpoint):
    endpoint.embed = lambda text: [float(len(text)), 1.0]
    texts = ["x" * n for n in range(1, 151)]
    found = embed(server(endpoint), "", texts)
    assert found.shape == (150, 2)
    assert found[:, 0].tolist() == list(range(1, 151))
    assert [len(request["input"]) for request in endpoint.requests] == [64, 64, 22]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"data": [{"index": 0, "embedding": [1.0]}]}, "1 embeddings for 2 texts"),
        ({"data": "none"}, "no list of embeddings"),
        (
            {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]},
            "no list",
        ),
    ],
)
def test_vectors_that_are_none_are_told(endpoint, body, problem):
    endpoint.script = [(200, {}, body)]
    with pytest.raises(EndpointError, match=problem):
        embed(server(endpoint), "", ["a", "b"])
