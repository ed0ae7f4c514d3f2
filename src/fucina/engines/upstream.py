"""A model behind an OpenAI-compatible address, such as Ollama or vLLM, as an engine."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fucina.endpoint import Server, require_key
from fucina.engines.interface import Piece, Sampling
from fucina.errors import DataError, EndpointError, MissingExtraError
from fucina.records import Example, Message

if TYPE_CHECKING:
    from httpx2 import Response

__all__ = ["UpstreamTalker"]

REFUSED = {400, 413, 422}  # of the question, not of the server


@dataclass(frozen=True)
class UpstreamTalker:
    """Talks with a model of another server, which has its own template and its own context.

    Attributes:
        server: Where it is.
        key: Of the server; empty to send none.
        max_tokens: Of an answer where a request does not say it; None for what the server does.
    """

    server: Server
    key: str = ""
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        """Refuse an address that is none, and one elsewhere without a key.

        Raises:
            RecipeError: It is none, or the key is missing.
        """
        require_key(self.server, self.key, section="upstream")

    @property
    def name(self) -> str:
        """What computes, for people."""
        return f"{self.server.model} at {self.server.url}"

    @property
    def context(self) -> int:
        """Not told by such servers; 0."""
        return 0

    def prompt_ids(self, example: Example) -> list[int]:
        """Not told by such servers.

        Raises:
            DataError: Always.
        """
        del example
        raise DataError(
            f"{self.name} does not tell its tokens.", fix="Compare answers instead of tokens."
        )

    def talk(self, example: Example, sampling: Sampling) -> Iterator[Piece]:
        """Answer the last turn of a conversation.

        Raises:
            DataError: The server refuses the question.
            EndpointError: It refuses to serve, cannot be reached, or breaks off.
        """
        turns = example.messages[:-1] or (Message("user", example.prompt),)
        body: dict[str, Any] = {"messages": [_turn(turn) for turn in turns]}
        if example.tools:
            body["tools"] = [dict(tool) for tool in example.tools]
        if sampling.logprobs:
            body |= {"logprobs": True, "top_logprobs": sampling.top_logprobs}
        if sampling.grammar is not None:
            body["response_format"] = _form(sampling)
        return self._pieces("chat/completions", body, sampling, _of_chat)

    def complete(self, prompt: str, sampling: Sampling) -> Iterator[Piece]:
        """Go on with a text as it stands; how likely its tokens were is not told."""
        return self._pieces("completions", {"prompt": prompt}, sampling, _of_text)

    def _pieces(
        self, place: str, body: dict[str, Any], sampling: Sampling, read: Any
    ) -> Iterator[Piece]:
        most = sampling.max_tokens or self.max_tokens
        said = {
            "max_tokens": most, "seed": sampling.seed, "stop": list(sampling.stop) or None,
            "temperature": sampling.temperature, "top_p": sampling.top_p,
        }  # fmt: skip
        body |= {name: value for name, value in said.items() if value is not None}
        body |= {"model": self.server.model, "stream": True}
        body["stream_options"] = {"include_usage": True}
        end, used = "", {}
        with self._events(place, body) as events:
            for event in events:
                used = event.get("usage") or used
                for choice in event.get("choices") or ():
                    end = choice.get("finish_reason") or end
                    piece = read(choice)
                    if piece.text or piece.logprobs:
                        yield piece
        if not end:
            raise EndpointError(f"{self.name} broke off.", fix="Look at its log.")
        yield Piece(
            "", end="length" if end == "length" else "stop", read=int(used.get("prompt_tokens", 0))
        )

    @contextmanager
    def _events(self, place: str, body: Mapping[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
        try:
            import httpx2
        except ImportError as error:
            raise MissingExtraError("httpx2", extra="serve") from error
        url = f"{self.server.url.rstrip('/')}/{place}"
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            with (
                httpx2.Client(timeout=self.server.timeout_s, trust_env=False) as client,
                client.stream("POST", url, json=body, headers=headers) as response,
            ):
                if not response.is_success:
                    response.read()
                    raise self._refusal(response)
                yield (
                    json.loads(line[6:])
                    for line in response.iter_lines()
                    if line.startswith("data: ") and line != "data: [DONE]"
                )
        except (httpx2.HTTPError, ValueError) as error:
            kind = type(error).__name__
            raise EndpointError(f"{self.name}: {kind}.", fix="Is it up?") from error

    def _refusal(self, response: "Response") -> DataError | EndpointError:
        said = " ".join(response.text.split())[:200]
        said = said.replace(self.key, "…") if self.key else said
        problem = f"{self.name} answers {response.status_code}: {said}."
        if response.status_code in REFUSED:
            return DataError(problem, fix="Mend the question as it says.")
        return EndpointError(problem, fix="Check its address, the model's name there and the key.")


def _turn(turn: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.tool_calls:
        said["tool_calls"] = [
            {"id": str(place), "type": "function", "function": {
                **call["function"], "arguments": json.dumps(call["function"].get("arguments", {})),
            }}
            for place, call in enumerate(turn.tool_calls)
        ]  # fmt: skip
    return said


def _form(sampling: Sampling) -> dict[str, Any]:
    grammar = sampling.grammar
    if grammar is None or grammar.kind != "json":
        raise DataError("only JSON schemas can be asked of another server.", fix="Send a schema.")
    schema = {"name": "answer", "schema": json.loads(grammar.text), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def _of_chat(choice: Mapping[str, Any]) -> Piece:
    told = (choice.get("logprobs") or {}).get("content") or ()
    text = (choice.get("delta") or {}).get("content") or ""
    return Piece(
        text,
        tokens=len(told) or bool(text),
        logprobs=tuple((one["token"], one["logprob"]) for one in told),
        top=tuple(
            {other["token"]: other["logprob"] for other in one.get("top_logprobs", ())}
            for one in told
        ),
    )


def _of_text(choice: Mapping[str, Any]) -> Piece:
    text = choice.get("text") or ""
    return Piece(text, tokens=bool(text))
