"""A connection to an OpenAI-compatible endpoint, which may be slow or broken for a while."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from fucina.errors import EndpointError, MissingExtraError, RecipeError

if TYPE_CHECKING:
    from httpx2 import Response

    from fucina.config import JudgeConfig, SynthesisConfig

__all__ = [
    "Connection",
    "Server",
    "Sleep",
    "TemporaryError",
    "UnansweredError",
    "is_loopback",
    "require_key",
]

Sleep = Callable[[float], Awaitable[object]]

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
LONGEST_ORDER_S = 300.0  # a server that asks for a longer pause is better asked another day
TEMPORARY = {408, 409, 425, 429}  # and every 5xx
SHOWN = 200  # letters of a server's message
Found = TypeVar("Found")


@dataclass(frozen=True)
class Server:
    """Where a model answers.

    Attributes:
        url: Up to /v1.
        model: Its name there.
        key_variable: Environment variable of the key, for messages.
        timeout_s: Seconds to wait for one answer.
        retries: Tries after a failed one.
        protocol: `openai` or `anthropic`: how the key is sent and what a request looks like.
        settings: What a recipe or command calls the address and the model, for messages; none for
            `url` and `model` of the section.
    """

    url: str
    model: str
    key_variable: str
    timeout_s: float = 60.0
    retries: int = 4
    protocol: Literal["openai", "anthropic"] = "openai"
    settings: tuple[str, str] | None = None


class UnansweredError(Exception):
    """All tries of a request failed in ways that may pass."""


class TemporaryError(Exception):
    """One try failed in a way that may pass; the server may have said how long to wait."""

    def __init__(self, problem: str, pause_s: float = 0.0) -> None:
        super().__init__(problem)
        self.pause_s = pause_s


class Connection:
    """Remembers the connection.

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
        config: Server,
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
        self._settings = config.settings or (f"{section}.url", f"{section}.model")
        self._root = config.url.rstrip("/").removesuffix("/chat/completions")
        self._key = key.strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise RecipeError(
                f"the key in {config.key_variable} has signs that no key has.",
                fix=f"Set it again, without quotes and line ends: export {config.key_variable}=…",
            )
        self._sleep = sleep
        self._jitter = jitter
        self._late = (httpx2.TimeoutException, TimeoutError)
        self._broken = httpx2.RequestError
        self._client = httpx2.AsyncClient(
            timeout=config.timeout_s,
            headers=_headers(config.protocol, self._key),
            # A proxy of the environment knows no way to this machine.
            trust_env=not is_loopback(config.url, section),
        )

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def persist(self, request: Callable[[], Awaitable[Found]]) -> Found:
        """Make a request until it is answered, with growing pauses.

        Args:
            request: One try; it raises TemporaryError where another may do better.

        Raises:
            UnansweredError: All tries failed: overload, time-outs, replies that cannot be read.
            EndpointError: The server refuses; asking again would not help.
        """
        problem = ""
        for attempt in range(self.config.retries + 1):
            try:
                return await request()
            except TemporaryError as error:
                problem = str(error)
                if error.pause_s > LONGEST_ORDER_S:
                    raise UnansweredError(
                        f"{problem}; it asks to wait {error.pause_s:.0f} seconds"
                    ) from error
                pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt)
                if attempt < self.config.retries:
                    await self._sleep(max(error.pause_s, pause * (0.5 + self._jitter() / 2)))
        raise UnansweredError(f"{problem} (tries: {self.config.retries + 1})")

    async def post(self, place: str, body: Mapping[str, Any]) -> "Response":
        """Send JSON to a place below the address; any status comes back.

        Raises:
            TemporaryError: No answer in time, or the connection broke.
        """
        return await self.send("POST", place, body)

    async def send(
        self, method: str, place: str, body: Mapping[str, Any] | None = None
    ) -> "Response":
        """The same with any method, and without JSON where there is none."""
        url = f"{self._root}/{place}"
        try:
            # The client's own limit starts anew with every byte.
            async with asyncio.timeout(self.config.timeout_s):
                return await self._client.request(method, url, json=body)
        except self._late as error:
            late = f"{url}: no answer in {self.config.timeout_s:g} seconds"
            raise TemporaryError(late) from error
        except self._broken as error:
            kind = type(error).__name__
            told = f"{kind}: {error}" if str(error) else kind
            raise TemporaryError(f"{url}: {self._safe(told)}") from error

    def judge(self, response: "Response") -> None:
        """Tell what may pass from what will not.

        Raises:
            TemporaryError: It may pass.
            EndpointError: It will not; the fix names the setting.
        """
        if response.is_success:
            return
        status, told = response.status_code, self.told(response)
        if status in TEMPORARY or status >= 500:
            raise TemporaryError(told, _pause(response.headers.get("Retry-After", "")))
        if status in {401, 403}:
            fix = f"Set {self.config.key_variable} to a key of this endpoint that may use "
            raise EndpointError(f"{told}.", fix=f"{fix}{self.config.model!r}.")
        if status == 404:
            url_setting, model_setting = self._settings
            fix = f"Check {url_setting} (it mostly ends in /v1) and {model_setting}"
            raise EndpointError(f"{told}.", fix=f"{fix}, now {self.config.model!r}.")
        if 300 <= status < 400:
            where = response.headers.get("Location", "another address")
            raise EndpointError(
                f"{told}.", fix=f"Set {self._settings[0]} to where it leads: {where}"
            )
        raise EndpointError(f"{told}.", fix=f"Mend in the section {self.section} what it names.")

    def told(self, response: "Response") -> str:
        """What a server says is wrong, in words."""
        message = self._safe(_message(response))
        return f"{response.request.url} answers {response.status_code}: {message}"

    def _safe(self, message: str) -> str:
        """A message of others, short, on one line, and without the key."""
        hidden = message.replace(self._key, "…") if self._key else message
        return " ".join(hidden.split())[:SHOWN]


def _headers(protocol: str, key: str) -> dict[str, str]:
    """How a key is sent."""
    if protocol == "anthropic":
        version = {"anthropic-version": "2023-06-01"}
        return version | ({"x-api-key": key} if key else {})
    return {"Authorization": f"Bearer {key}"} if key else {}


def require_key(
    config: "Server | SynthesisConfig | JudgeConfig", key: str, *, section: str, setting: str = ""
) -> None:
    """Refuse to ask a server elsewhere without a key; `setting` names its variable, for messages.

    Raises:
        RecipeError: Names the variable to set.
    """
    if not key and not is_loopback(config.url, section):
        raise RecipeError(
            f"no key for {config.url}: the variable {config.key_variable} is not set.",
            fix=f"Set it: export {config.key_variable}=…; or name another in "
            f"{setting or f'{section}.key_variable'}.",
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


def _message(response: "Response") -> str:
    """What the server says is wrong, in whichever shape."""
    try:
        said = response.json()
    except ValueError:
        return response.text or response.reason_phrase
    error = said.get("error", said) if isinstance(said, dict) else said
    error = error[0] if isinstance(error, list) and error else error  # as Weaviate has it
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
