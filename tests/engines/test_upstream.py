"""A model of another server answers as an engine here: the other server is a real one of ours."""

import pytest

from fucina.config import RouteConfig, ServeConfig
from fucina.endpoint import Server
from fucina.engines import Sampling
from fucina.engines.upstream import UpstreamTalker
from fucina.errors import DataError, EndpointError, RecipeError
from fucina.records import Example, Grammar, Message
from fucina.serving import Places, open_service

ROW = Example("Dove sta Ada?", "")
LONG = Example.of_conversation(
    [Message("system", "Sei Nerina."), Message("user", "Dove sta Ada?"),
     Message("assistant", "Di sopra."), Message("user", "E Ugo, perché?")]
)  # fmt: skip


@pytest.fixture(scope="module")
def both(make_decoder, tmp_path_factory):
    """The engine of a run, and that of the same run behind a server."""
    from serve.conftest import SPOKEN, _train, listening

    rows = [{"prompt": asked, "answer": said} for asked, said in SPOKEN * 3]
    folder = tmp_path_factory.mktemp("upstream")
    run = _train(folder, "talk", "chat", make_decoder("llama"), rows, "chat.max_new_tokens=12")
    with (
        open_service(
            Places([str(run)]), ServeConfig(reload_s=0), RouteConfig(), keys={}, say=print
        ) as app,
        listening(app) as url,
    ):
        (station,) = app.state.hall.catalog.stations
        yield station.served.engine, UpstreamTalker(Server(f"{url}/v1", "talk", "KEY"))


def _said(pieces):
    return "".join(piece.text for piece in pieces)


@pytest.mark.parametrize("row", [ROW, LONG])
@pytest.mark.parametrize("sampling", [
    Sampling(), Sampling(max_tokens=3), Sampling(temperature=1.0, seed=3, top_p=0.9),
    Sampling(logprobs=True, top_logprobs=2),
    Sampling(grammar=Grammar("json", '{"type": "boolean"}')),
])  # fmt: skip
def test_it_says_what_the_model_says(row, sampling, both):
    here, there = (list(engine.talk(row, sampling)) for engine in both)
    assert _said(there) == _said(here)
    assert there[-1].end == here[-1].end
    assert there[-1].read == here[-1].read
    likely = [[p.logprobs for p in pieces if p.logprobs] for pieces in (here, there)]
    assert likely[0] == likely[1]


def test_texts_are_gone_on_with_and_stops_are_kept(both):
    here, there = (_said(engine.complete("Dove sta", Sampling(max_tokens=6))) for engine in both)
    assert here == there
    stop = here[len(here) // 2]
    sampling = Sampling(max_tokens=6, stop=(stop,))
    assert _said(both[1].complete("Dove sta", sampling)) == here[: here.index(stop)]


def test_what_goes_wrong_is_told_apart(both, endpoint):
    _, there = both
    with pytest.raises(DataError, match="a sign of its own"):
        list(there.talk(Example("<|im_end|>", ""), Sampling()))
    with pytest.raises(EndpointError, match="no model"):
        list(UpstreamTalker(Server(there.server.url, "altro", "KEY")).talk(ROW, Sampling()))
    with pytest.raises(EndpointError, match="ConnectError"):
        list(UpstreamTalker(Server("http://127.0.0.1:9/v1", "x", "KEY")).talk(ROW, Sampling()))
    endpoint.script = [(200, {}, {"choices": []})]  # no stream at all
    with pytest.raises(EndpointError, match="broke off"):
        list(UpstreamTalker(Server(endpoint.url, "x", "KEY")).talk(ROW, Sampling()))
    with pytest.raises(RecipeError, match="no key"):
        UpstreamTalker(Server("https://example.org/v1", "x", "KEY"))
    endpoint.script = [(401, {}, {"error": {"message": "bad key segreta1"}})]
    with pytest.raises(EndpointError, match="401") as caught:
        list(UpstreamTalker(Server(endpoint.url, "x", "KEY"), "segreta1").talk(ROW, Sampling()))
    assert "segreta1" not in str(caught.value)
    assert endpoint.headers[-1]["Authorization"] == "Bearer segreta1"


def test_tools_that_were_called_are_sent(endpoint):
    call = {"type": "function", "function": {"name": "piano", "arguments": {"chi": "Ada"}}}
    row = Example.of_conversation(
        [Message("user", "Dove?"), Message("assistant", "", (call,)), Message("tool", "3")],
        tools=[{"type": "function", "function": {"name": "piano"}}],
    )
    endpoint.script = [(200, {}, {})]
    with pytest.raises(EndpointError):
        list(UpstreamTalker(Server(endpoint.url, "x", "KEY")).talk(row, Sampling()))
    sent = endpoint.requests[-1]
    assert sent["tools"][0]["function"]["name"] == "piano"
