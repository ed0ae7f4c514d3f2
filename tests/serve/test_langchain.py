"""LangChain's clients of OpenAI's interface, where they are installed, against a server that listens."""

import asyncio
from typing import Literal

import pytest
from pydantic import BaseModel, Field

langchain = pytest.importorskip("langchain_openai", reason="pip install langchain-openai")
ASKED = "Dove sta Ada?"


class Where(BaseModel):
    """Where somebody is."""

    who: Literal["Ada", "Ugo"]
    floor: int = Field(ge=0, le=9)


@pytest.fixture(scope="module")
def opened(server):
    def open_as(kind, model="talk", **more):
        return kind(base_url=f"{server}/v1", api_key="none", model=model, max_retries=0, **more)

    return open_as


@pytest.fixture(scope="module")
def chat(opened):
    return lambda **more: opened(langchain.ChatOpenAI, **more)


def test_it_is_asked_once_several_times_and_as_a_stream(chat):
    whole = chat().invoke(ASKED)
    pieces = list(chat(stream_usage=True).stream(ASKED))
    assert "".join(piece.content for piece in pieces) == whole.content != ""
    assert len(pieces) > 3
    used = [piece.usage_metadata for piece in pieces if piece.usage_metadata]
    assert [one["total_tokens"] for one in used] == [whole.usage_metadata["total_tokens"]]
    both = chat().batch([ASKED, "Dove sta Ugo?", ASKED])
    assert [both[0].content, both[2].content] == [whole.content] * 2
    history = [
        ("system", "Sei Nerina."),
        ("human", ASKED),
        ("ai", "Di sopra."),
        ("human", "E Ugo?"),
    ]
    assert (
        chat().invoke(history).usage_metadata["input_tokens"] > whole.usage_metadata["input_tokens"]
    )


def test_it_is_asked_without_waiting(chat):
    async def ask():
        model = chat()
        said = [piece.content async for piece in model.astream(ASKED)]
        all_of_it = await model.abatch([ASKED] * 4)
        return "".join(said), {one.content for one in all_of_it}

    said, alike = asyncio.run(ask())
    assert alike == {said}


# OpenAI's client has a parsed answer where its own form has none, and says so to itself.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("more", [{}, {"strict": True}])
def test_an_answer_is_an_object_of_the_form_asked_for(more, chat):
    writer = chat(max_tokens=80).with_structured_output(Where, method="json_schema", **more)
    assert isinstance(writer.invoke(ASKED), Where)
    assert isinstance(list(writer.stream(ASKED))[-1], Where)


def test_how_it_is_written_can_be_said(chat):
    free = chat().invoke(ASKED).content
    stop = free[len(free) // 2]
    assert chat(stop=[stop]).invoke(ASKED).content == free[: free.index(stop)].strip()
    drawn = [chat(temperature=1.5, seed=3).invoke(ASKED).content for _ in range(2)]
    assert drawn[0] == drawn[1] != free
    told = chat(logprobs=True, top_logprobs=2, max_tokens=3).invoke(ASKED).response_metadata
    assert [len(one["top_logprobs"]) for one in told["logprobs"]["content"]] == [2] * 3


def test_a_run_of_labels_is_asked(chat):
    assert chat(model="kind").invoke("dov'è il pacco").content
    with pytest.raises(Exception, match="does not write"):
        chat(model="kind").with_structured_output(Where, method="json_schema").invoke("pacco")


def test_what_it_cannot_do_is_refused_with_what_to_do(chat):
    with pytest.raises(Exception, match=r"tool_choice is not supported; leave it out. See /docs"):
        chat().with_structured_output(Where, method="function_calling").invoke(ASKED)


def test_a_text_is_gone_on_with(opened):
    writer = opened(langchain.OpenAI, max_tokens=5, temperature=0)
    whole = writer.invoke("Dove sta")
    assert "".join(writer.stream("Dove sta")) == whole
    assert writer.batch(["Dove sta", "Ada"])[0] == whole


def test_vectors_are_made_of_texts(opened):
    texts = ["il pacco", "lo schermo rotto"]
    plain = opened(langchain.OpenAIEmbeddings, "kind", check_embedding_ctx_length=False)
    assert [len(one) for one in plain.embed_documents(texts)] == [32, 32]
    assert plain.embed_query(texts[0]) == pytest.approx(plain.embed_documents(texts)[0], abs=1e-5)
