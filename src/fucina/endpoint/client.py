"""Ask a chat model behind an OpenAI-compatible endpoint."""

import asyncio
import random
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from fucina.endpoint.connection import Connection, Server, Sleep, TemporaryError

if TYPE_CHECKING:
    from httpx2 import Response

    from fucina.config import JudgeConfig, SynthesisConfig

__all__ = ["Endpoint"]

Found = TypeVar("Found")


class Endpoint:
    """Remembers the connection, and whether the server knows JSON mode.

    Arguments and errors are those of `Connection`.
    """

    def __init__(
        self,
        config: "SynthesisConfig | JudgeConfig",
        key: str,
        *,
        section: str,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        server = Server(
            config.url, config.model, config.key_variable, config.timeout_s, config.retries
        )
        self._connection = Connection(server, key, section=section, sleep=sleep, jitter=jitter)
        self.config = config
        self._json_mode = True

    async def __aenter__(self) -> "Endpoint":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    async def ask(self, system: str, prompt: str, read: Callable[[str], Found | None]) -> Found:
        """What the model answered, as it is read out of its words.

        Args:
            system: What it is told first.
            prompt: What it is asked.
            read: Finds in a reply what is wanted; None or nothing where it is not there, and then
                the request is tried again.

        Raises:
            UnansweredError: All tries failed: overload, time-outs, replies that cannot be read.
            EndpointError: The server refuses; asking again would not help.
        """
        return await self._connection.persist(lambda: self._try(system, prompt, read))

    async def _try(self, system: str, prompt: str, read: Callable[[str], Found | None]) -> Found:
        asked = self._json_mode
        response = await self._post(system, prompt, json_mode=asked)
        if response.status_code in {400, 422} and asked:
            # Many servers know no JSON mode; if something else is wrong, they say so again.
            response = await self._post(system, prompt, json_mode=False)
            self._json_mode = self._json_mode and not response.is_success
        self._connection.judge(response)
        found = read(_content(response))
        if not found:
            raise TemporaryError("an answer without what was asked for")
        return found

    async def _post(self, system: str, prompt: str, *, json_mode: bool) -> "Response":
        body: dict[str, Any] = {
            "model": self.config.model,
            "temperature": self.config.temperature,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": prompt},
            ],
        }
        if json_mode:
            body["response_format"] = {"type": "json_object"}
        return await self._connection.post("chat/completions", body)


def _content(response: "Response") -> str:
    """What the model said."""
    try:
        content = response.json()["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        raise TemporaryError("an answer that is no chat completion") from error
    return content if isinstance(content, str) else ""
