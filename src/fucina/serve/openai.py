"""/v1: the interface of OpenAI, for its clients unchanged."""

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from fucina.serve.chatting import Chat
from fucina.serve.completing import Completion
from fucina.serve.openai_schemas import ChatBody, CompletionBody, EmbeddingBody
from fucina.serve.problems import Problem
from fucina.serve.schemas import Json

if TYPE_CHECKING:
    from fucina.serve.hall import Hall
    from fucina.serve.station import Station

__all__ = ["paths"]

EVENT = {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"itemSchema": EVENT}},
          "description": "The answer; with stream: true piece by piece."}
}  # fmt: skip


def paths(hall: "Hall") -> APIRouter:
    """The paths, for the models of a hall."""
    router = APIRouter(prefix="/v1", tags=["OpenAI"])

    @router.get("/models", response_model=Json, summary="The models that are served")
    async def models() -> JSONResponse:
        return JSONResponse({"object": "list", "data": [_card(s) for s in hall.catalog.stations]})

    @router.get("/models/{name:path}", response_model=Json, summary="One of them")
    async def model(name: str) -> JSONResponse:
        with hall.catalog.use(name) as station:
            return JSONResponse(_card(station))

    @router.post(
        "/chat/completions", response_model=Json, responses=STREAM, summary="Answer a conversation"
    )
    async def chat(body: ChatBody, request: Request) -> Response:
        return await Chat(hall, body, request).respond()

    @router.post("/completions", response_model=Json, responses=STREAM, summary="Go on with a text")
    async def complete(body: CompletionBody, request: Request) -> Response:
        return await Completion(hall, body, request).respond()

    @router.post("/embeddings", response_model=Json, summary="Vectors of texts")
    async def embed(body: EmbeddingBody, request: Request) -> JSONResponse:
        if len(body.texts) > hall.config.max_rows:
            raise Problem(
                400, f"{len(body.texts)} texts at once.", f"Send {hall.config.max_rows} at most.",
                param="input",
            )  # fmt: skip
        if not all(text.strip() for text in body.texts):
            raise Problem(400, "an input is empty.", "Send texts.", param="input")
        with hall.catalog.use(body.model) as station:
            vectors = await station.embed(body.texts)
        data = [
            {"object": "embedding", "index": place, "embedding": _vector(own, body.encoding_format)}
            for place, own in enumerate(vectors)
        ]
        hall.remember(request, body.texts, [], station.served.name)
        counts = {"prompt_tokens": 0, "total_tokens": 0}
        return JSONResponse(
            {"object": "list", "data": data, "model": station.served.name, "usage": counts}
        )

    return router


def _card(station: "Station") -> Json:
    served = station.served
    more = {**served.facts, "engine": served.engine.name, "answers": served.kind}
    return {"id": served.name, "object": "model", "created": served.created, "owned_by": "fucina",
            "fucina": more}  # fmt: skip


def _vector(vector: np.ndarray, form: str | None) -> Any:
    own = vector.astype("<f4")
    return base64.b64encode(own.tobytes()).decode("ascii") if form == "base64" else own.tolist()
