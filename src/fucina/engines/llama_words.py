"""The tokenizer and the chat template that stand in a GGUF file, as `Template` wants them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fucina.errors import ModelError
from fucina.models.template import Template, open_template

if TYPE_CHECKING:
    from jinja2 import Template as Jinja

    from fucina.engines.llama_model import LlamaModel

__all__ = ["LlamaWords", "template_in"]


@dataclass(frozen=True)
class _Special:
    content: str
    special: bool = True


class LlamaWords:
    """The part of a Hugging Face tokenizer that a chat template needs, computed by llama.cpp.

    Args:
        model: A loaded file.

    Attributes:
        chat_template: Jinja; None where the file has none.
    """

    def __init__(self, model: "LlamaModel") -> None:
        self._model = model
        self.chat_template = model.fact("tokenizer.chat_template") or None

    @cached_property
    def added_tokens_decoder(self) -> Mapping[int, _Special]:
        """Number to special token."""
        return {number: _Special(text) for number, text in self._model.special().items()}

    @property
    def all_special_ids(self) -> list[int]:
        """Numbers of special tokens."""
        return [*self.added_tokens_decoder]

    @property
    def all_special_tokens(self) -> list[str]:
        """Special tokens as text."""
        return [token.content for token in self.added_tokens_decoder.values()]

    @property
    def eos_token_id(self) -> int:
        """What ends a text."""
        return self._model.end_token

    @property
    def eos_token(self) -> str:
        """The same as text."""
        return self._model.name(self._model.end_token)

    @property
    def bos_token(self) -> str:
        """What begins a text."""
        return self._model.name(self._model.begin_token)

    def get_vocab(self) -> Mapping[str, int]:
        """Special tokens alone, to their numbers: no template asks for others."""
        return {token.content: number for number, token in self.added_tokens_decoder.items()}

    def __call__(self, text: str, *, add_special_tokens: bool = False) -> dict[str, list[int]]:
        """The tokens of a text, as a template wrote it."""
        begin = [self._model.begin_token] if add_special_tokens else []
        return {"input_ids": begin + self._model.tokens(text)}

    def apply_chat_template(
        self,
        turns: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None,
        chat_template: str,
        tokenize: bool,
        add_generation_prompt: bool,
        enable_thinking: bool,
        END: str,
    ) -> str:
        """Write turns as text, with what training gives to a template."""
        if tokenize:
            raise ModelError("turns are written as text here.", fix="Count their tokens apart.")
        return _compiled(self, chat_template).render(
            messages=turns, tools=tools, add_generation_prompt=add_generation_prompt,
            enable_thinking=enable_thinking, END=END, bos_token=self.bos_token,
            eos_token=self.eos_token,
        )  # fmt: skip


def _compiled(words: LlamaWords, source: str) -> "Jinja":
    """A template, which is a stranger's program: it runs where it can reach nothing."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    known = words.__dict__.setdefault("_known", {})
    if source not in known:
        place = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        place.filters["tojson"] = _as_json
        given = {"raise_exception": _refuse, "strftime_now": _now}
        known[source] = place.from_string(source, globals=given)
    return known[source]


def _as_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> str:
    from jinja2 import TemplateError

    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def template_in(model: "LlamaModel", system: str | None = None) -> Template:
    """The chat template of a file, or ChatML where it has none.

    Args:
        model: A loaded file.
        system: What the system says where a row does not say it itself.

    Raises:
        ModelError: It cannot write a question and its answer.
    """
    return open_template(LlamaWords(model), system=system)
