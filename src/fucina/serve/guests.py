"""Clients that leave before they are answered: nobody computes for them any more."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["answer_while_there"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LEFT = {"type": "http.disconnect"}


async def answer_while_there(
    answer: Callable[[Receive, Send], Awaitable[None]], body: Message, receive: Receive, send: Send
) -> bool:
    """Answer a request, unless its client leaves before the answer is whole.

    Args:
        answer: Answers it, and is cancelled where the client has left.
        body: The request's own, which has come already.
        receive: Gives what else comes from the client.
        send: Sends to the client.

    Returns:
        Whether the client got the whole answer.
    """
    first, whole, left = [body], False, asyncio.Event()

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async def receiving() -> Message:
        if first:
            return first.pop()
        await left.wait()
        return LEFT

    async def sending(message: Message) -> None:
        nonlocal whole
        await send(message)
        whole = message["type"] == "http.response.body" and not message.get("more_body", False)

    watching = asyncio.ensure_future(watch())
    leaving = asyncio.ensure_future(left.wait())
    answering = asyncio.ensure_future(answer(receiving, sending))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not whole and not answering.done():
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            return False
        await answering
        return whole
    finally:
        for task in (watching, leaving, answering):
            task.cancel()
