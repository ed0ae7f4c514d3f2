"""The small client, and what generates requests out of the OpenAPI document."""

import pytest

from conftest import LABELLED
from fucina import using
from fucina.client import Client
from fucina.errors import EndpointError

from .conftest import served
from .test_routing import faulty


def test_it_asks_and_reads(server, runs):
    texts = [text for text, _ in LABELLED[:4]]
    alone = using.predict(runs["kind"], texts).answers
    with Client(server) as client:
        assert client.models() == ["kind", "cose", "talk", "sist"]
        assert [reply.answer for reply in client.predict_batch(texts)] == alone
        reply = client.predict(texts[0])
        assert (reply.answer, reply.route, reply.reason) == (alone[0], "model", "")
        assert reply.confidence == reply.facts["confidence"] > 0
    with Client(server, model="talk") as client:
        (said,) = using.predict(runs["talk"], ["Dove sta Ada?"]).answers
        turns = [{"role": "user", "content": "Dove sta Ada?"}]
        pieces = list(client.chat(turns))
        assert "".join(pieces) == said
        assert len(pieces) > 2
        assert len("".join(client.chat(turns, max_tokens=2))) < len(said)


def test_what_goes_wrong_is_told_in_the_servers_words(server):
    with Client(server, model="kinf") as client:
        with pytest.raises(EndpointError, match=r"404: no model 'kinf'.* Fix: did you mean 'kind'"):
            client.predict("a")
        with pytest.raises(EndpointError, match="404: no model"):
            list(client.chat([{"role": "user", "content": "a"}]))
    with Client(server) as client, pytest.raises(EndpointError, match="takes no field 'x'"):
        client.predict("a", x="y")
    with (
        Client("http://127.0.0.1:9") as client,
        pytest.raises(EndpointError, match="Is the server"),
    ):
        client.predict("a")
    with (
        Client("http://127.0.0.1:9") as client,
        pytest.raises(EndpointError, match="Is the server"),
    ):
        list(client.chat([]))


def test_a_stream_that_breaks_off_is_told(runs):
    with faulty(runs["talk"]) as (url, engine, _), Client(url) as client:
        engine.fault = "late"
        with pytest.raises(EndpointError, match="did not answer"):
            list(client.chat([{"role": "user", "content": "Dove sta Ada?"}]))


def test_another_server_is_told_from_ours(endpoint):
    with (
        Client(endpoint.url.removesuffix("/v1")) as client,
        pytest.raises(EndpointError, match="answers 501"),
    ):
        client.models()


@pytest.mark.parametrize("examples", [6, pytest.param(60, marks=pytest.mark.long)])
def test_no_request_that_the_document_allows_or_forbids_breaks_it(examples, runs):
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    with served(list(runs.values()), route={"threshold": 0.5}) as (url, _):
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for operation in schema.get_all_operations():
                own = operation.ok()
                if mode is GenerationMode.NEGATIVE and "requestBody" not in own.definition.raw:
                    continue  # nothing that could be wrong is sent
                case = own.as_strategy(generation_mode=mode)

                @given(case=case)
                @settings(
                    max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck),
                    phases=[Phase.explicit, Phase.generate], derandomize=True,
                )  # fmt: skip
                def no_defect(case):
                    response = case.call(timeout=60)
                    assert response.status_code < 500, (response.status_code, response.text)
                    # A form may be right and a model, a field or a turn be none that there is.
                    case.validate_response(response, excluded_checks=[positive_data_acceptance])

                no_defect()
