"""Texts that a model goes on with, whole or as a stream of events."""

import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from fucina.engines import Piece, Sampling, Talker
from fucina.records import Example
from fucina.serve.answers import as_words
from fucina.serve.openai_replies import completion_reply, event, usage
from fucina.serve.openai_schemas import CompletionBody
from fucina.serve.predicting import Wrote, wholly
from fucina.serve.problems import Problem, body_of
from fucina.serve.routing import Routed
from fucina.serve.streaming import asked, failed, headers, streamed

if TYPE_CHECKING:
    from fucina.serve.hall import Hall
    from fucina.serve.station import Station

__all__ = ["Completion"]

SHORT = 16  # tokens of a text where nothing is said, as OpenAI has it


class Completion:
    """Texts that are gone on with, one after the other.

    Args:
        hall: What all paths share.
        body: What is asked.
        request: For the log.

    Raises:
        Problem: Too many at once.
    """

    def __init__(self, hall: "Hall", body: CompletionBody, request: Request) -> None:
        self.hall, self.body, self.request = hall, body, request
        self.id, self.created = f"cmpl-{uuid.uuid4().hex}", int(time.time())
        if len(body.prompts) > hall.config.max_rows:
            raise Problem(
                400, f"{len(body.prompts)} prompts at once.",
                f"Send {hall.config.max_rows} at most.", param="prompt",
            )  # fmt: skip

    async def respond(self) -> Response:
        """The answer, whole or as a stream."""
        if self.body.stream:
            return await streamed(self._events())
        with self.hall.catalog.use(self.body.model) as station, asked():
            _require_writer(station)
            wrote = [
                await wholly(station, Example(prompt, ""), self._begin(station, prompt))
                for prompt in self.body.prompts
            ]
            station.count(sum(w.last.read for w in wrote if w.last), sum(w.tokens for w in wrote))
        self._remember(station, [(one.text, one.routed) for one in wrote])
        for one in wrote:
            if one.routed.failed:
                raise failed(one.routed)
        reply = completion_reply(self.id, self.created, station.served.name, wrote)
        return JSONResponse(reply, headers=headers(wrote[0].routed))

    def _begin(self, station: "Station", prompt: str) -> Callable[[], Iterator[Piece]]:
        body, talker = self.body, cast("Talker", station.served.engine)
        sampling = Sampling(
            max_tokens=body.max_tokens or SHORT,
            temperature=body.temperature or 0.0,
            top_p=1.0 if body.top_p is None else body.top_p,
            seed=body.seed,
            stop=body.stops,
            logprobs=body.logprobs is not None,
            top_logprobs=body.logprobs or 0,
        )
        return lambda: talker.complete(prompt, sampling)

    async def _events(self) -> AsyncGenerator[str]:
        with self.hall.catalog.use(self.body.model) as station, asked():
            _require_writer(station)
            read = written = 0
            for place, prompt in enumerate(self.body.prompts):
                pieces: list[Piece] = []
                writing = station.write(Example(prompt, ""), self._begin(station, prompt))
                async with aclosing(writing) as coming:
                    async for one in coming:
                        if isinstance(one, Piece):
                            pieces.append(one)
                            yield self._event(station, place, Wrote(one.text, MODEL, one, (one,)))
                            continue
                        said = "".join(piece.text for piece in pieces)
                        self._remember(station, [(said, one)])
                        if one.broken:
                            yield event(body_of(failed(one)))
                        elif one.failed:
                            raise failed(one)
                        elif one.route != "model":
                            answer = Wrote(as_words(one.answer), one, None, ())
                            yield self._event(station, place, answer)
                read += sum(piece.read for piece in pieces)
                written += sum(piece.tokens for piece in pieces)
            station.count(read, written)
            if self.body.with_usage:
                whole = completion_reply(self.id, self.created, station.served.name, [])
                yield event({**whole, "usage": usage(read, written)})
            yield "data: [DONE]\n\n"

    def _event(self, station: "Station", place: int, wrote: Wrote) -> str:
        reply = completion_reply(self.id, self.created, station.served.name, [wrote])
        reply["choices"][0]["index"] = place
        reply["choices"][0]["finish_reason"] = reply["choices"][0]["finish_reason"] or None
        return event({**reply, "usage": None})

    def _remember(self, station: "Station", said: list[tuple[str, Routed]]) -> None:
        replies = [{"route": r.route, "reason": r.reason, "answer": text} for text, r in said]
        self.hall.remember(self.request, self.body.prompts, replies, station.served.name)


MODEL = Routed("model")


def _require_writer(station: "Station") -> None:
    if station.served.kind != "text":
        raise Problem(
            400, f"{station.served.name} does not write.", "Name a run that answers with text.",
            param="model",
        )  # fmt: skip
