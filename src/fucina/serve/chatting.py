"""A conversation that is answered: whole, or as a stream of events."""

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from fucina.engines import Piece, Sampling
from fucina.records import Example, Grammar, Message
from fucina.serve.answers import as_words
from fucina.serve.openai_replies import Chunks, chat_reply
from fucina.serve.openai_schemas import ChatBody
from fucina.serve.predicting import Wrote, row_of, wholly
from fucina.serve.problems import Problem, body_of
from fucina.serve.routing import Routed
from fucina.serve.streaming import asked, failed, headers, streamed

if TYPE_CHECKING:
    from fucina.serve.hall import Hall
    from fucina.serve.station import Station

__all__ = ["Chat"]


class Chat:
    """One conversation that is answered.

    Args:
        hall: What all paths share.
        body: What is asked.
        request: For the log.
    """

    def __init__(self, hall: "Hall", body: ChatBody, request: Request) -> None:
        self.hall, self.body, self.request = hall, body, request
        self.id, self.created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())

    async def respond(self) -> Response:
        """The answer, whole or as a stream."""
        if not self.body.stream:
            with self.hall.catalog.use(self.body.model) as station, asked():
                wrote = await self._wrote(station)
            self._remember(station, wrote.text, wrote.routed)
            if wrote.routed.failed:
                raise failed(wrote.routed)
            reply = chat_reply(self.id, self.created, station.served.name, wrote)
            return JSONResponse(reply, headers=headers(wrote.routed))
        return await streamed(self._events())

    def _remember(self, station: "Station", text: str, routed: Routed) -> None:
        said = [turn.text for turn in self.body.messages]
        reply = {"route": routed.route, "reason": routed.reason, "answer": text}
        self.hall.remember(self.request, said, [reply], station.served.name)

    async def _wrote(self, station: "Station") -> Wrote:
        if station.served.kind != "text":
            self._require_formless(station.served.name)
            (routed,) = await station.answer([self.body.messages[-1].text])
            words = routed.answer if routed.reply is None else routed.reply
            return Wrote(as_words(words), routed, None, ())
        row, sampling = await self._row(station), self._sampling()
        wrote = await wholly(station, row, lambda: station.begin(row, sampling))
        if wrote.last is not None:
            station.count(wrote.last.read, wrote.tokens)
        return wrote

    def _require_formless(self, name: str) -> None:
        """Refuse to hold labels to a form: they are what they are."""
        form = self.body.response_format
        if form is not None and form.type != "text":
            raise Problem(
                400, f"{name} does not write, so its answers have no other form.",
                "Leave response_format out, or name a run that answers with text.",
                param="response_format",
            )  # fmt: skip

    async def _row(self, station: "Station") -> Example:
        """The row that a conversation is: a single question as its task asks it."""
        turns, tools = self.body.messages, tuple(self.body.tools or ())
        if len(turns) == 1 and not tools:
            return await row_of(station, turns[0].text, {})
        said = [
            Message(
                "system" if turn.role == "developer" else turn.role, turn.text,
                tuple(call.parsed for call in turn.tool_calls or ()), turn.name or "",
            )
            for turn in turns
        ]  # fmt: skip
        return Example.of_conversation([*said, Message("assistant", "")], tools=tools)

    def _sampling(self) -> Sampling:
        body = self.body
        shape = body.response_format.schema_text if body.response_format else None
        return Sampling(
            max_tokens=body.max_completion_tokens or body.max_tokens,
            temperature=body.temperature or 0.0,
            top_p=1.0 if body.top_p is None else body.top_p,
            seed=body.seed,
            stop=body.stops,
            logprobs=bool(body.logprobs),
            top_logprobs=body.top_logprobs or 0,
            grammar=None if shape is None else Grammar("json", shape),
            whole=True,
        )

    async def _events(self) -> AsyncGenerator[str]:
        with self.hall.catalog.use(self.body.model) as station:
            chunks = Chunks(self.id, self.created, station.served.name)
            if station.served.kind != "text":
                wrote = await self._wrote(station)
                self._remember(station, wrote.text, wrote.routed)
                if wrote.routed.failed:
                    raise failed(wrote.routed)
                for event in chunks.of_text(wrote.text, wrote.routed):
                    yield event
            else:
                async for event in self._written(station, chunks):
                    yield event
            if self.body.with_usage:
                yield chunks.usage()
            yield "data: [DONE]\n\n"

    async def _written(self, station: "Station", chunks: Chunks) -> AsyncGenerator[str]:
        with asked():
            row, sampling = await self._row(station), self._sampling()
            writing = station.write(row, lambda: station.begin(row, sampling))
            async with aclosing(writing) as pieces:
                async for one in pieces:
                    if isinstance(one, Piece):
                        for event in chunks.of_piece(one):
                            yield event
                        continue
                    self._remember(station, chunks.text, one)
                    station.count(chunks.read, chunks.tokens)
                    if one.broken:
                        yield chunks.broken(body_of(failed(one)))
                    elif one.failed:
                        raise failed(one)
                    elif one.route != "model":
                        for event in chunks.of_text(as_words(one.answer), one):
                            yield event
