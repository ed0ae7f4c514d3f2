"""Answers in the form that OpenAI's clients read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fucina.engines import Piece
from fucina.serve.predicting import Wrote
from fucina.serve.routing import Routed
from fucina.serve.schemas import Json

__all__ = ["Chunks", "chat_reply", "completion_reply", "event", "usage"]


def usage(read: int, written: int) -> Json:
    """How many tokens it took."""
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def chat_reply(name: str, created: int, model: str, wrote: Wrote) -> Json:
    """A whole answer to a conversation."""
    last = wrote.last
    choice: Json = {
        "index": 0, "message": {"role": "assistant", "content": wrote.text, "refusal": None},
        "finish_reason": last.end if last else "stop", "logprobs": None,
    }  # fmt: skip
    likely = [one for piece in wrote.pieces for one in _likely(piece)]
    if likely:
        choice["logprobs"] = {"content": likely, "refusal": None}
    return {
        "id": name, "object": "chat.completion", "created": created, "model": model,
        "choices": [choice], "usage": usage(last.read if last else 0, wrote.tokens),
        "fucina": routed_facts(wrote.routed),
    }  # fmt: skip


def completion_reply(name: str, created: int, model: str, wrote: Sequence[Wrote]) -> Json:
    """Texts that were gone on with."""
    choices = []
    for place, one in enumerate(wrote):
        told = [(t, value, top) for p in one.pieces for (t, value), top in _pairs(p)]
        offsets, at = [], 0
        for token, _, _ in told:
            offsets.append(at)
            at += len(token)
        likely = {
            "tokens": [token for token, _, _ in told],
            "token_logprobs": [value for _, value, _ in told],
            "top_logprobs": [dict(top) for _, _, top in told],
            "text_offset": offsets,
        }
        choices.append(
            {"index": place, "text": one.text, "logprobs": likely if told else None,
             "finish_reason": one.last.end if one.last else "stop"}
        )  # fmt: skip
    read = sum(one.last.read for one in wrote if one.last)
    return {
        "id": name, "object": "text_completion", "created": created, "model": model,
        "choices": choices, "usage": usage(read, sum(one.tokens for one in wrote)),
        "fucina": routed_facts(wrote[0].routed) if wrote else {},
    }  # fmt: skip


def routed_facts(routed: Routed) -> Json:
    """Who answered, beside what OpenAI's form has."""
    spoken = routed.reply is not None and isinstance(routed.answer, str)
    facts = {
        "route": routed.route, "reason": routed.reason, "note": routed.note or None,
        "confidence": routed.confidence, "guess": routed.guess, "rule": routed.rule,
        "label": routed.answer if spoken else None,
    }  # fmt: skip
    return {key: value for key, value in facts.items() if value is not None}


def _pairs(piece: Piece) -> Iterator[tuple[tuple[str, float], Mapping[str, float]]]:
    return zip(piece.logprobs, piece.top, strict=True)


def _likely(piece: Piece) -> list[Json]:
    def shown(token: str, value: float) -> Json:
        return {"token": token, "logprob": value, "bytes": list(token.encode("utf-8", "replace"))}

    return [
        {**shown(token, value), "top_logprobs": [shown(*other) for other in top.items()]}
        for (token, value), top in _pairs(piece)
    ]


class Chunks:
    """Remembers a stream, and gives its events.

    Args:
        name: Of the answer.
        created: In seconds of Unix.
        model: Who answers.
    """

    def __init__(self, name: str, created: int, model: str) -> None:
        self._head = {"id": name, "object": "chat.completion.chunk", "created": created,
                      "model": model}  # fmt: skip
        self._begun = False
        self.text, self.read, self.tokens = "", 0, 0

    def of_piece(self, piece: Piece) -> Iterator[str]:
        """The events of a piece."""
        self.text += piece.text
        self.read, self.tokens = max(self.read, piece.read), self.tokens + piece.tokens
        likely = _likely(piece)
        if piece.text or likely or not self._begun:
            yield self._delta({"content": piece.text}, likely=likely)
        if piece.end:
            facts = routed_facts(Routed("model"))
            yield self._delta({}, end=piece.end, fucina=facts)

    def of_text(self, text: str, routed: Routed) -> Iterator[str]:
        """The events of an answer that is there already."""
        self.text += text
        yield self._delta({"content": text})
        yield self._delta({}, end="stop", fucina=routed_facts(routed))

    def broken(self, problem: Json) -> str:
        """The event that says that what came before is no answer."""
        return event(problem)

    def usage(self) -> str:
        """The event that counts."""
        return event({**self._head, "choices": [], "usage": usage(self.read, self.tokens)})

    def _delta(
        self, delta: Json, *, end: str | None = None, likely: list[Json] | None = None, **more: Any
    ) -> str:
        if not self._begun:
            delta, self._begun = {"role": "assistant", **delta}, True
        choice: Json = {"index": 0, "delta": delta, "finish_reason": end, "logprobs": None}
        if likely:
            choice["logprobs"] = {"content": likely, "refusal": None}
        return event({**self._head, "choices": [choice], **more})


def event(content: Json) -> str:
    """Something as it is sent in a stream."""
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
