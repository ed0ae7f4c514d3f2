"""Hold many conversations with a model behind an endpoint, and count what they take."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fucina.endpoint.connection import (
    Connection,
    Server,
    TemporaryError,
    UnansweredError,
    require_key,
)
from fucina.errors import EndpointError
from fucina.records import Message, Progress, silent

__all__ = ["Reply", "converse"]


@dataclass(frozen=True)
class Reply:
    """What a model answered.

    Attributes:
        text: Its words.
        prompt_tokens: What it read, as the server counts; 0 where it does not tell.
        answer_tokens: What it wrote.
        seconds: From the request that was answered to its answer.
        ended: It stopped by itself.
    """

    text: str
    prompt_tokens: int
    answer_tokens: int
    seconds: float
    ended: bool


def converse(
    server: Server,
    key: str,
    conversations: Sequence[Sequence[Message]],
    *,
    max_new_tokens: int,
    at_once: int = 4,
    section: str,
    progress: Progress = silent,
) -> list[Reply]:
    """Let a model write the next turn of n conversations, the likeliest words each time.

    Args:
        server: Where, and by which protocol.
        key: Of the server; empty to send none.
        conversations: The turns so far.
        max_new_tokens: Of an answer at most.
        at_once: Requests under way at the same time.
        section: What messages call the settings.
        progress: Shows steps.

    Raises:
        EndpointError: It refuses, does not answer, or says something that is no answer.
        RecipeError: The address is none, or a key is missing.
    """
    require_key(server, key, section=section)
    try:
        return asyncio.run(
            _all(server, key, conversations, max_new_tokens, at_once, section, progress)
        )
    except UnansweredError as error:
        raise EndpointError(f"{error}.", fix="Try again later.") from error


async def _all(
    server: Server,
    key: str,
    conversations: Sequence[Sequence[Message]],
    max_new_tokens: int,
    at_once: int,
    section: str,
    progress: Progress,
) -> list[Reply]:
    place, body, read = PROTOCOLS[server.protocol]
    gate, done = asyncio.Semaphore(at_once), 0

    async with Connection(server, key, section=section) as connection:

        async def one(messages: Sequence[Message]) -> Reply:
            began = time.perf_counter()
            response = await connection.post(place, body(server.model, messages, max_new_tokens))
            connection.judge(response)
            try:
                text, prompt, answer, ended = read(response.json())
            except (ValueError, LookupError, TypeError) as error:
                raise TemporaryError(f"an answer that is none of {server.protocol}") from error
            return Reply(text, prompt, answer, time.perf_counter() - began, ended)

        async def waited(messages: Sequence[Message]) -> Reply:
            nonlocal done
            async with gate:
                reply = await connection.persist(lambda: one(messages))
            done += 1
            progress("asking the endpoint", done, len(conversations))
            return reply

        return list(await asyncio.gather(*map(waited, conversations)))


def _openai(model: str, messages: Sequence[Message], most: int) -> dict[str, Any]:
    turns = [{"role": turn.role, "content": turn.content} for turn in messages]
    return {"model": model, "messages": turns, "temperature": 0, "max_tokens": most}


def _read_openai(said: Mapping[str, Any]) -> tuple[str, int, int, bool]:
    choice, used = said["choices"][0], said.get("usage") or {}
    tokens = (int(used.get("prompt_tokens", 0)), int(used.get("completion_tokens", 0)))
    return str(choice["message"]["content"] or ""), *tokens, choice.get("finish_reason") == "stop"


def _anthropic(model: str, messages: Sequence[Message], most: int) -> dict[str, Any]:
    system = "\n\n".join(turn.content for turn in messages if turn.role == "system")
    turns = [
        {"role": turn.role, "content": turn.content} for turn in messages if turn.role != "system"
    ]
    body = {"model": model, "messages": turns, "temperature": 0, "max_tokens": most}
    return body | ({"system": system} if system else {})


def _read_anthropic(said: Mapping[str, Any]) -> tuple[str, int, int, bool]:
    text = "".join(part["text"] for part in said["content"] if part["type"] == "text")
    used = said.get("usage") or {}
    tokens = (int(used.get("input_tokens", 0)), int(used.get("output_tokens", 0)))
    return text, *tokens, said.get("stop_reason") == "end_turn"


Protocol = tuple[
    str,
    Callable[[str, Sequence[Message], int], dict[str, Any]],
    Callable[[Mapping[str, Any]], tuple[str, int, int, bool]],
]
# Name to the place below the address, the body of a request, and the reader of its answer.
PROTOCOLS: dict[str, Protocol] = {
    "openai": ("chat/completions", _openai, _read_openai),
    "anthropic": ("messages", _anthropic, _read_anthropic),
}
