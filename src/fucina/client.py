r"""A small client of `fucina serve`, for programs that do not speak OpenAI's interface.

from fucina.client import Client

with Client("http://127.0.0.1:8000") as client:
    print(client.predict("Dov'è il mio pacco?").answer)
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fucina.errors import EndpointError, MissingExtraError

if TYPE_CHECKING:
    from httpx2 import Response

__all__ = ["Client", "Reply"]


@dataclass(frozen=True)
class Reply:
    """An answer, and who gave it.

    Attributes:
        answer: A label, a list of spans, or a text; None where nobody answers.
        route: `model`, `rules`, `endpoint` or `none`.
        reason: Why not the model: `unsure`, `timeout`, `error`, `nan`; empty where it did.
        confidence: Of the model, 0 to 1; None where it has none.
        facts: All that the server told.
    """

    answer: Any
    route: str
    reason: str
    confidence: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class Client:
    """Remembers a connection to a server.

    Args:
        url: Of the server, such as http://127.0.0.1:8000.
        key: That may ask; empty to send none.
        model: Which run answers; None for the first that is served.
        timeout_s: Seconds to wait for one answer.

    Raises:
        MissingExtraError: httpx2 is not installed.
    """

    def __init__(
        self, url: str, *, key: str = "", model: str | None = None, timeout_s: float = 60.0
    ) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise MissingExtraError("httpx2", extra="client") from error
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._model, self._broken = model, httpx2.HTTPError
        self._client = httpx2.Client(base_url=url, timeout=timeout_s, headers=headers)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def models(self) -> list[str]:
        """The names of the runs that are served."""
        return [model["id"] for model in self._asked("GET", "/v1/models")["data"]]

    def predict(self, text: str, **fields: str) -> Reply:
        """Answer a text; further fields of the task by their names.

        Raises:
            EndpointError: The server refuses, or cannot be reached; its own words are in it.
        """
        body = {"model": self._model, "text": text, "fields": fields}
        return _reply(self._asked("POST", "/predict", body))

    def predict_batch(self, texts: Sequence[str], **fields: str) -> list[Reply]:
        """Answer several texts, in their order."""
        body = {"model": self._model, "texts": list(texts), "fields": fields}
        return [_reply(one) for one in self._asked("POST", "/predict/batch", body)["answers"]]

    def explain(self, text: str, *, label: str | None = None) -> Mapping[str, Any]:
        """Say which words of a text decided."""
        return self._asked("POST", "/explain", {"model": self._model, "text": text, "label": label})

    def ask(self, question: str) -> Mapping[str, Any]:
        """Answer a question out of the documents that are served."""
        return self._asked("POST", "/ask", {"question": question})

    def chat(
        self, messages: Sequence[Mapping[str, str]], *, max_tokens: int | None = None
    ) -> Iterator[str]:
        """The next turn of a conversation, piece by piece.

        Args:
            messages: Turns with `role` and `content`, the oldest first.
            max_tokens: Of the answer; None for as many as the run learnt.

        Raises:
            EndpointError: The server refuses, cannot be reached, or breaks off.
        """
        body = {"model": self._model, "messages": list(messages), "max_tokens": max_tokens,
                "stream": True}  # fmt: skip
        try:
            with self._client.stream("POST", "/v1/chat/completions", json=body) as response:
                if not response.is_success:
                    response.read()
                    raise _refused(response)
                for line in response.iter_lines():
                    if line.startswith("data: ") and line != "data: [DONE]":
                        yield _said(json.loads(line.removeprefix("data: ")))
        except self._broken as error:
            raise self._lost(error) from error

    def _asked(
        self, method: str, place: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            response = self._client.request(method, place, json=body)
        except self._broken as error:
            raise self._lost(error) from error
        if not response.is_success:
            raise _refused(response)
        return response.json()

    def _lost(self, error: Exception) -> EndpointError:
        where = f"{self._client.base_url}: {error or type(error).__name__}."
        return EndpointError(where, fix="Is the server up? fucina serve RUN tells its address.")


def _reply(said: dict[str, Any]) -> Reply:
    return Reply(said["answer"], said["route"], said["reason"], said.get("confidence"), said)


def _said(event: Mapping[str, Any]) -> str:
    if "error" in event:
        facts = event["error"]
        raise EndpointError(facts["message"], fix=facts.get("fix", "Try again."))
    choices = event["choices"]
    return (choices[0]["delta"].get("content") or "") if choices else ""


def _refused(response: "Response") -> EndpointError:
    try:
        facts = response.json()["error"]
    except (ValueError, LookupError, TypeError):
        problem = f"{response.request.url} answers {response.status_code}."
        return EndpointError(problem, fix="Is it a server of fucina serve?")
    problem = facts["message"].removesuffix(facts["fix"]).strip()
    return EndpointError(f"{response.status_code}: {problem}", fix=facts["fix"])
