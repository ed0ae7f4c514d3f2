"""/predict, /predict/batch, /explain and /ask: the models of tasks as they are."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from fucina.engines import Piece, Sampling
from fucina.errors import DataError
from fucina.serve.answers import as_words
from fucina.serve.door import tell
from fucina.serve.problems import Problem
from fucina.serve.routing import Routed
from fucina.serve.schemas import (
    AskBody,
    BatchBody,
    BatchReply,
    ExplainBody,
    Json,
    PredictBody,
    PredictReply,
)
from fucina.serve.streaming import asked, failed

if TYPE_CHECKING:
    from fucina.records import Example
    from fucina.serve.hall import Hall
    from fucina.serve.station import Station

__all__ = ["Wrote", "paths", "row_of", "wholly"]


@dataclass(frozen=True)
class Wrote:
    """A text that was written to its end.

    Attributes:
        text: The answer.
        routed: Who gave it.
        last: The last piece, which counts tokens; None where no model wrote.
        pieces: All of them.
    """

    text: str
    routed: Routed
    last: Piece | None
    pieces: Sequence[Piece]

    @property
    def tokens(self) -> int:
        """How many were written."""
        return sum(piece.tokens for piece in self.pieces)


async def row_of(station: "Station", text: str, fields: Mapping[str, str]) -> "Example":
    """A row of the model's task.

    Raises:
        Problem: It is none.
    """
    try:
        return await asyncio.to_thread(station.served.row, text, fields)
    except DataError as error:
        raise Problem(400, error.problem, error.fix, param="fields") from error


async def wholly(station: "Station", row: "Example", begin: Callable[[], Iterator[Piece]]) -> Wrote:
    """Let a model write an answer to its end.

    Raises:
        BusyError: Too many wait already.
        DataError: The question cannot be answered as it is.
    """
    pieces: list[Piece] = []
    routed = Routed("none")
    async with aclosing(station.write(row, begin)) as coming:
        async for one in coming:
            if isinstance(one, Routed):
                routed = one
            else:
                pieces.append(one)
    if routed.route == "model":
        return Wrote("".join(piece.text for piece in pieces), routed, pieces[-1], pieces)
    return Wrote(as_words(routed.answer), routed, None, ())


def paths(hall: "Hall") -> APIRouter:
    """The paths, for the models of a hall."""
    router = APIRouter(tags=["tasks"])

    @router.post("/predict", response_model=PredictReply, summary="Answer a text")
    async def predict(body: PredictBody, request: Request) -> JSONResponse:
        with hall.catalog.use(body.model) as station, asked():
            (reply,) = await _replies(station, [body.text], body.fields)
        hall.remember(request, [body.text], [reply], station.served.name)
        if reply["route"] == "none" and reply["reason"] != "unsure":
            raise failed(Routed("none", reply["reason"], note=reply.get("note", "")))
        return JSONResponse(reply)

    @router.post("/predict/batch", response_model=BatchReply, summary="Answer several texts")
    async def predict_batch(body: BatchBody, request: Request) -> JSONResponse:
        most = hall.config.max_rows
        if len(body.texts) > most:
            raise Problem(
                400, f"{len(body.texts)} texts at once.", f"Send {most} at most.", param="texts"
            )
        with hall.catalog.use(body.model) as station, asked():
            replies = await _replies(station, body.texts, body.fields)
        hall.remember(request, body.texts, replies, station.served.name)
        return JSONResponse({"model": station.served.name, "answers": replies})

    @router.post("/explain", response_model=Json, summary="Say which words decided an answer")
    async def explain(body: ExplainBody, request: Request) -> JSONResponse:
        with hall.catalog.use(body.model) as station:
            found = await station.explain(body.text, {"label": body.label, "method": body.method})
        tell(request.scope, model=station.served.name)
        return JSONResponse(found)

    @router.post("/ask", response_model=Json, summary="Answer out of the documents")
    async def ask(body: AskBody, request: Request) -> JSONResponse:
        if hall.documents is None:
            raise Problem(
                404, "no documents are served.", "Start with them: fucina serve --index FOLDER."
            )
        turns = [(turn.role, turn.content) for turn in body.history]
        tell(request.scope, model="documents")
        return JSONResponse(await hall.documents.ask(body.question, turns))

    return router


async def _replies(
    station: "Station", texts: Sequence[str], fields: Mapping[str, str]
) -> list[Json]:
    name = station.served.name
    if station.served.kind != "text":
        if fields:
            raise Problem(
                400, f"{name} takes no field {next(iter(fields))[:80]!r}.", "Leave fields out.",
                param="fields",
            )  # fmt: skip
        return [_reply(name, routed) for routed in await station.answer(texts)]
    rows = [await row_of(station, text, fields) for text in texts]
    at_once = asyncio.Semaphore(station.at_once)

    async def one(row: "Example") -> Json:
        async with at_once:
            wrote = await wholly(station, row, lambda: station.begin(row, Sampling()))
        reply = _reply(name, wrote.routed)
        if wrote.last is not None:
            reply |= {"answer": wrote.text, "ended": wrote.last.end == "stop",
                      "prompt_tokens": wrote.last.read, "answer_tokens": wrote.tokens,
                      "cut": wrote.last.cut}  # fmt: skip
            station.count(wrote.last.read, wrote.tokens)
        return reply

    return list(await asyncio.gather(*map(one, rows)))


def _reply(name: str, routed: Routed) -> Json:
    """What is told of an answer; what is not known is left out."""
    sure = None if routed.confidence is None else round(routed.confidence, 6)
    reply = {"model": name, "answer": routed.answer, "route": routed.route, "reason": routed.reason}
    more = {"confidence": sure, "guess": routed.guess, "reply": routed.reply, "rule": routed.rule,
            "note": routed.note or None, **routed.more}  # fmt: skip
    return reply | {key: value for key, value in more.items() if value is not None}
