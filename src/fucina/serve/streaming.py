"""Answers as a stream of events, of which the first decides on the status."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from fastapi.responses import StreamingResponse

from fucina.errors import FucinaError
from fucina.serve.interface import BusyError
from fucina.serve.problems import Problem, body_of
from fucina.serve.routing import Routed

__all__ = ["asked", "failed", "headers", "overloaded", "streamed"]


@contextmanager
def asked() -> Iterator[None]:
    """What is wrong with a question, told to who asks."""
    try:
        yield
    except FucinaError as error:
        code = "context_length_exceeded" if " tokens" in error.problem else "invalid_request"
        raise Problem(400, error.problem, error.fix, code=code) from error


def failed(routed: Routed) -> Problem:
    """Nobody answered."""
    return Problem(
        503, f"the model did not answer ({routed.reason}: {routed.note}), and nobody else does.",
        "Try again, or serve with route.rules or route.url.", code="model_failed", retry_s=1,
    )  # fmt: skip


def overloaded(error: BusyError) -> Problem:
    """Too much waits already."""
    return Problem(
        429, "too much is waiting.", f"Come again in {error.retry_s} s.", code="overloaded",
        retry_s=error.retry_s,
    )  # fmt: skip


def headers(routed: Routed) -> dict[str, str]:
    """Who answered, for those who do not read the body."""
    return {"X-Fucina-Route": routed.route, "X-Fucina-Reason": routed.reason or "none"}


async def streamed(events: AsyncGenerator[str]) -> StreamingResponse:
    """Send events as they come; the first is waited for, as what is wrong is told by a status."""
    try:
        first = await anext(events)
    except BaseException:
        await events.aclose()
        raise

    async def all_events() -> AsyncGenerator[str]:
        async with aclosing(events):
            yield first
            try:
                async for event in events:
                    yield event
            except (Problem, BusyError) as error:  # of the second text of several
                problem = error if isinstance(error, Problem) else overloaded(error)
                yield f"data: {json.dumps(body_of(problem), ensure_ascii=False)}\n\n"

    return StreamingResponse(
        all_events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
    )
