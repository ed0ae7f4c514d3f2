"""Rows as an encoder-decoder takes them: one text that is read, and one that is written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.errors import ModelError
from fucina.models.shorter import fitting
from fucina.models.template import Rendered
from fucina.records import Example, Message

if TYPE_CHECKING:
    from fucina.config import ChatConfig

__all__ = ["JOINED", "Pairing", "open_pairing"]

# How a row becomes the text that is read; said in logs and pages.
JOINED = (
    "what the system says, a space, the prompt; of several turns each in a line behind its role, "
    "and tools and calls as JSON"
)


@dataclass(frozen=True)
class Pairing:
    """How rows become texts to read and texts to write; it answers to what `Template` does.

    Attributes:
        tokenizer: Turns text into tokens.
        system: What the system says where a row does not say it itself; None for nothing.
        source: How the text that is read is put together.
        supervise: The last answer is learnt, because only it is written.
    """

    tokenizer: Any
    system: str | None = None
    source: str = JOINED
    supervise: str = "last"

    @property
    def way(self) -> str:
        """How rows are written, to end a sentence that begins with "rows are written"."""
        return f"for an encoder-decoder, which reads {self.source}"

    @property
    def end(self) -> str:
        """The special token that ends an answer."""
        return self.tokenizer.eos_token

    @property
    def end_id(self) -> int:
        """The number of `end`."""
        return self.tokenizer.eos_token_id

    @cached_property
    def _special(self) -> dict[int, str]:
        """All but the unknown token, which is not written in any text."""
        ids, tokens = self.tokenizer.all_special_ids, self.tokenizer.all_special_tokens
        unknown = self.tokenizer.unk_token_id
        pairs = zip(ids, tokens, strict=True)
        return {number: token for number, token in pairs if number != unknown}

    def control_tokens(self, text: str) -> list[str]:
        """Special tokens that stand written in a text, where they would be taken for real ones."""
        return [token for token in self._special.values() if token and token in text]

    def ends(self, ids: np.ndarray) -> bool:
        """Whether some tokens hold the one that ends an answer."""
        return bool((ids == self.end_id).any())

    def conversation(self, example: Example) -> tuple[Message, ...]:
        """The turns of a row: its own, or its prompt and target as two; the system's first."""
        turns = example.messages or (
            Message("user", example.prompt), Message("assistant", example.target)
        )  # fmt: skip
        if self.system is None or turns[0].role == "system":
            return turns
        return (Message("system", self.system), *turns)

    def read(self, example: Example) -> str:
        """The text that is read: all that is said before the last answer.

        Example:
            >>> pairing = Pairing(None, system="summarize:")
            >>> pairing.read(Example("Anna: ciao", "Anna saluta."))
            'summarize: Anna: ciao'
            >>> turns = [("user", "ciao"), ("assistant", "Ciao!"), ("user", "e tu?")]
            >>> turns.append(("assistant", "Nerina."))
            >>> row = Example.of_conversation([Message(role, said) for role, said in turns])
            >>> print(pairing.read(row))
            summarize: user: ciao
            assistant: Ciao!
            user: e tu?
        """
        turns = self.conversation(example)[:-1]
        system = turns[0].content if turns and turns[0].role == "system" else ""
        said = [turn for turn in turns if turn.role != "system"]
        lines = [f"{turn.role}: {_said(turn)}" for turn in said]
        if example.tools:
            lines.insert(0, f"tools: {_json(example.tools)}")
        text = _said(said[0]) if len(said) == 1 and not example.tools else "\n".join(lines)
        between = " " if system and not system[-1].isspace() else ""
        return f"{system}{between}{text}"

    def asked(self, example: Example) -> np.ndarray:
        """The tokens that are read, with those that the tokenizer puts around them; nothing cut."""
        return self._tokens(self.read(example))

    def asked_within(self, example: Example, most: int) -> np.ndarray:
        """The same, cut: the oldest exchanges go first, then the end of what is left."""
        tokens, row = self.asked(example), example
        if len(tokens) > most:
            row = fitting(example, self, lambda rest: len(self.asked(rest)), most)
            tokens = self.asked(row)
        if len(tokens) <= most:
            return tokens
        # The tokenizer keeps the tokens that it puts around a text.
        return self._tokens(self.read(row), truncation=True, max_length=most)

    def _tokens(self, text: str, **cut: Any) -> np.ndarray:
        ids = self.tokenizer(text, **cut)["input_ids"]
        # Without special tokens an empty text has none, and attention needs one.
        return np.array(ids or [self.tokenizer.pad_token_id], dtype=np.int64)

    def written(self, example: Example) -> np.ndarray:
        """The tokens of the answer, its end included: all of them are learnt."""
        target = _said(self.conversation(example)[-1])
        ids = self.tokenizer(text_target=target)["input_ids"]
        if not ids or ids[-1] != self.end_id:
            ids = [*ids, self.end_id]
        return np.array(ids, dtype=np.int64)

    def render(self, example: Example) -> Rendered:
        """A row as tokens: what is read, then what is learnt."""
        asked, answer = self.asked(example), self.written(example)
        learnt = np.concatenate([np.zeros(len(asked), bool), np.ones(len(answer), bool)])
        text = f"{self.read(example)} → {_said(self.conversation(example)[-1])}"
        return Rendered(text, np.concatenate([asked, answer]), learnt, apart=len(asked))


def _said(turn: Message) -> str:
    """What a turn says, and behind it what it calls."""
    calls = [_json(turn.tool_calls)] if turn.tool_calls else []
    return "\n".join([turn.content, *calls] if turn.content or not calls else calls)


def _json(parts: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps([dict(part) for part in parts], ensure_ascii=False)


def open_pairing(tokenizer: Any, config: "ChatConfig") -> Pairing:
    """Find out how rows are given to an encoder-decoder.

    Args:
        tokenizer: Of the base model.
        config: What the system says; settings that say nothing here are refused.

    Raises:
        ModelError: The tokenizer has no end token, or a setting does nothing.
    """
    idle = {
        "chat.template": config.template != "auto",
        "chat.supervise": config.supervise != "assistant",
    }
    found = [name for name, is_set in idle.items() if is_set]
    if found:
        raise ModelError(
            f"model.base is an encoder-decoder: {' and '.join(found)} "
            f"{'does' if len(found) == 1 else 'do'} nothing. It reads {JOINED}, and learns the "
            "last answer.",
            fix=f"Leave out {' and '.join(found)}; chat.system is what stands before every prompt.",
        )
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "the tokenizer of model.base has no end token: the model could not learn when to stop.",
            fix="Set eos_token in its tokenizer_config.json to the token that the model was "
            "trained to end with, such as </s>.",
        )
    return Pairing(tokenizer, config.system)
