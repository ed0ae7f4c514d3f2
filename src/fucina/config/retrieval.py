"""How documents are cut, embedded and found."""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fucina.config.endpoint import Elsewhere, KeyVariable, Protocol, Retries, Seconds
from fucina.config.settings import Settings

__all__ = ["AnswerConfig", "IndexConfig", "SearchConfig"]


class IndexConfig(Settings):
    """What an index is made with; a change of it makes the index anew."""

    embedder: Annotated[
        str,
        Field(
            description="favilla-encoder, minilm, a folder or hub id of an encoder or of a "
            "sentence-transformers model; with embedder_url, the name of the model there."
        ),
    ] = "favilla-encoder"
    embedder_url: Annotated[
        str | None,
        Field(description="OpenAI-compatible endpoint that embeds, up to /v1; none: it runs here."),
    ] = None
    key_variable: KeyVariable = "OPENAI_API_KEY"
    weaviate_url: Annotated[
        str | None,
        Field(
            description="Weaviate server that keeps the chunks, such as http://localhost:8080; "
            "none: the folder of the index does."
        ),
    ] = None
    weaviate_key_variable: KeyVariable = "WEAVIATE_API_KEY"
    chunk_tokens: Annotated[
        int, Field(ge=16, le=8192, description="Tokens of a chunk at most, headings included.")
    ] = 256
    overlap_tokens: Annotated[
        int, Field(ge=0, le=4096, description="Tokens at most that a chunk has of the one before.")
    ] = 32
    max_file_mib: Annotated[
        int, Field(ge=1, description="A larger file is left out, and that is told.")
    ] = 64

    @field_validator("weaviate_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        """Refuse what is no address, and a password, which the index would keep in its file."""
        if url is not None and not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", url):
            raise ValueError(
                "weaviate_url must be like http://localhost:8080, without user, password and query"
            )
        return url

    @model_validator(mode="after")
    def _room(self) -> "IndexConfig":
        if self.overlap_tokens * 2 > self.chunk_tokens:
            raise ValueError(
                f"overlap_tokens {self.overlap_tokens} is over half of chunk_tokens "
                f"{self.chunk_tokens}"
            )
        return self


class SearchConfig(Settings):
    """How chunks are ranked for a question."""

    top: Annotated[int, Field(ge=1, le=100, description="Chunks that are given.")] = 5
    ranking: Annotated[
        Literal["scores", "ranks", "words", "vectors"],
        Field(
            description="scores: BM25 and cosine added, each scaled to 0..1; ranks: reciprocal "
            "rank fusion; words: BM25 alone; vectors: cosine alone."
        ),
    ] = "scores"
    vector_weight: Annotated[
        float, Field(ge=0, le=10, description="Weight of the vectors beside that of the words, 1.")
    ] = 1.0
    rerank: Annotated[
        str | None,
        Field(description="Folder or hub id of a cross-encoder that sorts the best anew."),
    ] = None
    rerank_top: Annotated[int, Field(ge=1, le=1000, description="Chunks that it reads.")] = 30
    folder: Annotated[str | None, Field(description="Only documents below this folder.")] = None
    tag: Annotated[str | None, Field(description="Only documents with this tag.")] = None
    since: Annotated[
        str | None,
        Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="Only documents of this day or later."),
    ] = None
    until: Annotated[
        str | None,
        Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="Only documents of this day or before."),
    ] = None

    @field_validator("since", "until", mode="before")
    @classmethod
    def _day(cls, given: object) -> object:
        """YAML makes a date of what looks like one."""
        return given.isoformat() if isinstance(given, date) else given


class AnswerConfig(Settings):
    """Who answers out of what was found; without one, sentences of the documents are quoted."""

    by: Annotated[
        str | None,
        Field(
            description="A run that writes, a base (favilla, a folder or hub id of a decoder), or, "
            "with url, the name of a model there; none: sentences are quoted."
        ),
    ] = None
    url: Elsewhere = None
    protocol: Protocol = "openai"
    key_variable: KeyVariable = "OPENAI_API_KEY"
    timeout_s: Seconds = 60.0
    retries: Retries = 4
    max_new_tokens: Annotated[
        int, Field(ge=1, le=32768, description="Tokens of an answer at most.")
    ] = 256
    system: Annotated[
        str | None, Field(description="File of who the model is, read before the documents.")
    ] = None
    session: Annotated[
        str | None,
        Field(
            description="File that always stands before the documents, such as where work was left."
        ),
    ] = None
    sure: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Probability that the documents have the answer, below which it says that "
            "they do not.",
        ),
    ] = 0.5

    @model_validator(mode="after")
    def _named(self) -> "AnswerConfig":
        if self.url is not None and self.by is None:
            raise ValueError("url is set, and by does not name the model there")
        return self
