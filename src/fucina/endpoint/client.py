"""An OpenAI-compatible endpoint that may be slow, overloaded or broken for a while."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from fucina.errors import EndpointError, MissingExtraError, RecipeError

if TYPE_CHECKING:
    from httpx2 import Response

    from fucina.config import JudgeConfig, SynthesisConfig

    Server = SynthesisConfig | JudgeConfig

__all__ = ["Endpoint", "Sleep", "UnansweredError", "is_loopback", "require_key"]

Sleep = Callable[[float], Awaitable[object]]

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
LONGEST_ORDER_S = 300.0  # a server that asks for a longer pause is better asked another day
TEMPORARY = {408, 409, 425, 429}  # and every 5xx
SHOWN = 200  # letters of a server's message
Found = TypeVar("Found")


class UnansweredError(Exception):
    """All tries of a request failed in ways that may pass."""


class _TemporaryError(Exception):
    """One try failed in a way that may pass; the server may have said how long to wait."""

    def __init__(self, problem: str, pause_s: float = 0.0) -> None:
        super().__init__(problem)
        self.pause_s = pause_s


class Endpoint:
    """Remembers the connection, and whether the server knows JSON mode.

    Args:
        config: Where it is, and how patient to be.
        key: Sent as a bearer token; empty to send none. It is in no message and no file.
        section: The settings that `config` is written in, for messages.
        sleep: Waits.
        jitter: Gives numbers in 0..1, so that requests that failed together do not come again
            together.

    Raises:
        RecipeError: The address is none, or the key cannot be sent.
        MissingExtraError: httpx2 is not installed.
    """

    def __init__(
        self,
        config: "Server",
        key: str,
        *,
        section: str,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise MissingExtraError("httpx2", extra="synthesize") from error
        _host(config.url, section)
        self.config, self.section = config, section
        self._url = f"{config.url.rstrip('/').removesuffix('/chat/completions')}/chat/completions"
        self._key = key.strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise RecipeError(
                f"the key in {config.key_variable} has signs that no key has.",
                fix=f"Set it again, without quotes and line ends: export {config.key_variable}=…",
            )
        self._sleep = sleep
        self._jitter = jitter
        self._json_mode = True
        self._late = (httpx2.TimeoutException, TimeoutError)
        self._broken = httpx2.RequestError
        self._client = httpx2.AsyncClient(
            timeout=config.timeout_s,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            # A proxy of the environment knows no way to this machine.
            trust_env=not is_loopback(config.url, section),
        )

    async def __aenter__(self) -> "Endpoint":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

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
        problem = ""
        for attempt in range(self.config.retries + 1):
            try:
                return await self._try(system, prompt, read)
            except _TemporaryError as error:
                problem = str(error)
                if error.pause_s > LONGEST_ORDER_S:
                    raise UnansweredError(
                        f"{problem}; it asks to wait {error.pause_s:.0f} seconds"
                    ) from error
                pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt)
                if attempt < self.config.retries:
                    await self._sleep(max(error.pause_s, pause * (0.5 + self._jitter() / 2)))
        raise UnansweredError(f"{problem} (tries: {self.config.retries + 1})")

    async def _try(self, system: str, prompt: str, read: Callable[[str], Found | None]) -> Found:
        asked = self._json_mode
        response = await self._post(system, prompt, json_mode=asked)
        if response.status_code in {400, 422} and asked:
            # Many servers know no JSON mode; if something else is wrong, they say so again.
            response = await self._post(system, prompt, json_mode=False)
            self._json_mode = self._json_mode and not response.is_success
        self._judge(response)
        found = read(_content(response))
        if not found:
            raise _TemporaryError("an answer without what was asked for")
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
        try:
            # The client's own limit starts anew with every byte.
            async with asyncio.timeout(self.config.timeout_s):
                return await self._client.post(self._url, json=body)
        except self._late as error:
            late = f"{self._url}: no answer in {self.config.timeout_s:g} seconds"
            raise _TemporaryError(late) from error
        except self._broken as error:
            kind = type(error).__name__
            told = f"{kind}: {error}" if str(error) else kind
            raise _TemporaryError(f"{self._url}: {self._safe(told)}") from error

    def _judge(self, response: "Response") -> None:
        """Tell what may pass from what will not."""
        status = response.status_code
        if response.is_success:
            return
        told = f"{self._url} answers {status}: {self._safe(_message(response))}"
        if status in TEMPORARY or status >= 500:
            raise _TemporaryError(told, _pause(response.headers.get("Retry-After", "")))
        if status in {401, 403}:
            fix = f"Set {self.config.key_variable} to a key of this endpoint that may use "
            raise EndpointError(f"{told}.", fix=f"{fix}{self.config.model!r}.")
        if status == 404:
            fix = f"Check {self.section}.url (it mostly ends in /v1) and {self.section}.model"
            raise EndpointError(f"{told}.", fix=f"{fix}, now {self.config.model!r}.")
        if 300 <= status < 400:
            where = response.headers.get("Location", "another address")
            raise EndpointError(
                f"{told}.", fix=f"Set {self.section}.url to where it leads: {where}"
            )
        raise EndpointError(f"{told}.", fix=f"Mend in the section {self.section} what it names.")

    def _safe(self, message: str) -> str:
        """A message of others, short, on one line, and without the key."""
        hidden = message.replace(self._key, "…") if self._key else message
        return " ".join(hidden.split())[:SHOWN]


def require_key(config: "Server", key: str, *, section: str) -> None:
    """Refuse to ask a server elsewhere without a key.

    Raises:
        RecipeError: Names the variable to set.
    """
    if not key and not is_loopback(config.url, section):
        raise RecipeError(
            f"no key for {config.url}: the variable {config.key_variable} is not set.",
            fix=f"Set it: export {config.key_variable}=…; or name another in "
            f"{section}.key_variable.",
        )


def is_loopback(url: str, section: str = "endpoint") -> bool:
    """Whether an address is on this machine, where no key is needed.

    Example:
        >>> is_loopback("http://localhost:11434/v1"), is_loopback("http://[::1]:1/v1")
        (True, True)
        >>> is_loopback("https://localhost.example.com/v1")
        False
    """
    host = _host(url, section)
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _host(url: str, section: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme in {"http", "https"} else None
        _ = parts.port  # raises where it is no number
    except ValueError:
        host = None
    if not host:
        raise RecipeError(
            f"{section}.url: {url!r} is no address of a server.",
            fix="Write it with http:// or https://, such as http://localhost:11434/v1.",
        )
    return host


def _content(response: "Response") -> str:
    """What the model said."""
    try:
        content = response.json()["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        raise _TemporaryError("an answer that is no chat completion") from error
    return content if isinstance(content, str) else ""


def _message(response: "Response") -> str:
    """What the server says is wrong, in whichever shape."""
    try:
        said = response.json()
    except ValueError:
        return response.text or response.reason_phrase
    error = said.get("error", said) if isinstance(said, dict) else said
    return str(error.get("message", error) if isinstance(error, dict) else error)


def _pause(retry_after: str) -> float:
    """Seconds to wait by the header Retry-After: a number, or a date; 0 without one."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
