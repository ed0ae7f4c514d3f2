"""Conversations as a model reads them: the chat template, and which tokens are learnt."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fucina.errors import DataError, ModelError
from fucina.models.places import find_answers, find_closing, lead
from fucina.models.turns import plain_turns
from fucina.records import Example, Message

__all__ = ["CHATML", "Rendered", "Template", "open_template"]

# The turns of https://github.com/openai/openai-python/blob/release-v0.28.0/chatml.md; END is its
# end token where the tokenizer has it, else the tokenizer's own. Tools and calls of them are
# written between the words that Hermes 2 Pro and Qwen 2.5 use.
CHATML = (Path(__file__).parent / "chatml.jinja").read_text(encoding="utf-8").strip()


@dataclass(frozen=True)
class Rendered:
    """A conversation as tokens.

    Attributes:
        text: As the template writes it.
        ids: L token ids.
        supervised: L booleans: this token is learnt.
        end_added: The template ends the last answer with nothing, so its end stands here beside it.
        apart: How many of the tokens an encoder reads; 0 where one network reads all of them.
    """

    text: str
    ids: np.ndarray
    supervised: np.ndarray
    end_added: bool = False
    apart: int = 0


@dataclass(frozen=True)
class Template:
    """How a tokenizer's model wants turns to be written.

    Attributes:
        tokenizer: Turns text into tokens.
        source: Jinja.
        name: Where it comes from, for people.
        system: What the system says where a row does not say it itself; None for nothing.
        supervise: Whether every turn of the assistant is learnt, or only the last.
    """

    tokenizer: Any
    source: str
    name: str
    system: str | None = None
    supervise: Literal["assistant", "last"] = "assistant"

    @property
    def way(self) -> str:
        """How rows are written, to end a sentence that begins with "rows are written"."""
        return f"by the chat template ({self.name})"

    @property
    def end(self) -> str:
        """The special token with which an answer is over: writing stops there."""
        return self.special[self.end_id]

    @cached_property
    def closing(self) -> str:
        """What ends an answer: `end`, and special tokens that the template writes before it.

        Raises:
            ModelError: The template writes none, so a model could never learn to stop.
        """
        return "".join(self.special[number] for number in self._closing)

    @cached_property
    def _closing(self) -> list[int]:
        return find_closing(self)

    @cached_property
    def special(self) -> dict[int, str]:
        """The tokenizer's special tokens: number to text."""
        added = self.tokenizer.added_tokens_decoder
        named = dict(
            zip(self.tokenizer.all_special_ids, self.tokenizer.all_special_tokens, strict=True)
        )
        return {number: token.content for number, token in added.items() if token.special} | named

    @property
    def end_id(self) -> int:
        """The number of `end`."""
        return self._closing[-1]

    @cached_property
    def lead(self) -> str:
        """What stands between where the assistant begins to speak and its text, such as a space."""
        return lead(self)

    def control_tokens(self, text: str) -> list[str]:
        """Special tokens that stand written in a text, where they would be taken for real ones."""
        return [token for token in self.special.values() if token and token in text]

    def conversation(self, example: Example) -> tuple[Message, ...]:
        """The turns of a row: its own, or its prompt and target as two; the system's first."""
        turns = example.messages or (
            Message("user", example.prompt), Message("assistant", example.target)
        )  # fmt: skip
        if self.system is None or turns[0].role == "system":
            return turns
        return (Message("system", self.system), *turns)

    def write(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        asking: bool = False,
    ) -> str:
        """Write turns as the template does.

        Args:
            messages: The turns.
            tools: What may be called.
            asking: End where the assistant begins to speak.

        Raises:
            DataError: The template refuses these turns.
        """
        from jinja2 import TemplateError

        try:
            return self._apply(messages, tools, asking=asking)
        except (TemplateError, TypeError) as error:
            if messages[0].role != "system" or len(messages) < 2:
                raise _refused(self.name, error) from error
        # Some templates have no turn of the system: its words go before the first question.
        system, first, *rest = messages
        joined = Message(first.role, f"{system.content}\n\n{first.content}", first.tool_calls)
        try:
            return self._apply([joined, *rest], tools, asking=asking)
        except (TemplateError, TypeError) as error:
            raise _refused(self.name, error) from error

    def _apply(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, asking: bool
    ) -> str:
        try:
            return self._applied(plain_turns(messages), tools, asking)
        except TypeError:  # DeepSeek's template joins arguments to a text
            return self._applied(plain_turns(messages, as_text=True), tools, asking)

    def _applied(
        self, turns: list[dict[str, Any]], tools: Sequence[Mapping[str, Any]], asking: bool
    ) -> str:
        return self.tokenizer.apply_chat_template(
            turns,
            tools=[dict(tool) for tool in tools] or None,
            chat_template=self.source,
            tokenize=False,
            add_generation_prompt=asking,
            enable_thinking=False,  # a model that thinks aloud first is asked to answer at once
            END=self._chatml_end,
        )

    @cached_property
    def _chatml_end(self) -> str:
        vocabulary = self.tokenizer.get_vocab()  # built anew by each call: it took most of the time
        return "<|im_end|>" if "<|im_end|>" in vocabulary else self.tokenizer.eos_token or ""

    def render(self, example: Example) -> Rendered:
        """Write a row with its answers, and mark what is learnt of it.

        Learnt are the texts and tool calls of the assistant, each with the token that ends its
        turn; never what the template writes before them, because at use it is there already.

        Raises:
            DataError: The template refuses these turns, or loses an answer.
        """
        try:
            return self._rendered(example)
        except DataError as error:
            where = f"{example.origin}: " if example.origin else ""
            raise DataError(f"{where}{error.problem}", fix=error.fix) from error

    def _rendered(self, example: Example) -> Rendered:
        messages = self.conversation(example)
        text = self.write(messages, example.tools)
        spans = find_answers(self, messages, example, text)
        spoken = [turn for turn in messages if turn.role == "assistant"][-len(spans) :]
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        learnt = np.zeros(len(offsets), dtype=bool)
        for (begin, end), turn in zip(spans, spoken, strict=True):
            # A token that begins before the answer belongs to what is there already at use.
            inside = (offsets[:, 0] >= begin) & (offsets[:, 1] <= end) & (offsets[:, 1] > begin)
            learnt |= inside & turn.learnt
        ids = np.array(encoded["input_ids"], dtype=np.int64)
        if messages[-1].role == "assistant" and not self.ends(ids[offsets[:, 0] >= spans[-1][0]]):
            # Some templates, GLM's, end no last answer: a model would never learn to stop.
            text, ids, learnt = (
                text + self.end,
                np.append(ids, self.end_id),
                np.append(learnt, True),
            )
            return Rendered(text, ids, learnt, end_added=True)
        return Rendered(text, ids, learnt)

    def ends(self, ids: np.ndarray) -> bool:
        """Whether some tokens hold a special one: calls may end with another than answers do."""
        return bool(np.isin(ids, list(self.special)).any())

    def asked(self, example: Example) -> np.ndarray:
        """The tokens of a row up to where its last answer begins: what a model is given at use."""
        messages = self.conversation(example)[:-1]
        text = self.write(messages, example.tools, asking=True)
        return np.array(self.tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64)


def _refused(name: str, error: Exception) -> DataError:
    return DataError(
        f"the chat template ({name}) refuses a conversation: {str(error).splitlines()[0][:200]}.",
        fix="Mend the order of its turns (fucina audit shows where), or set chat.template: chatml.",
    )


def open_template(
    tokenizer: Any,
    choice: str = "auto",
    *,
    root: Path = Path(),
    system: str | None = None,
    supervise: Literal["assistant", "last"] = "assistant",
) -> Template:
    """Find the template that a recipe asks for.

    Args:
        tokenizer: Of the base model.
        choice: `auto`, `chatml`, or a Jinja file.
        root: The folder that the file is relative to.
        system: What the system says where a row does not say it itself.
        supervise: Which turns are learnt.

    Raises:
        ModelError: The file cannot be read, or the tokenizer has no token that ends an answer.
    """
    own = getattr(tokenizer, "chat_template", None)
    if choice == "auto" and isinstance(own, str):
        source, name = own, "the tokenizer's own"
    elif choice in {"auto", "chatml"}:
        source, name = CHATML, "chatml"
    else:
        source, name = _read(root / choice), choice
    template = Template(tokenizer, source, name, system, supervise)
    if source == CHATML and not template._chatml_end:
        raise ModelError(
            "the tokenizer of model.base has neither a chat template nor an end token.",
            fix="Use a base that writes, and so has an eos_token: HuggingFaceTB/SmolLM2-135M, or, "
            "to learn from these rows alone, model.base=scratch adapter.kind=full "
            "adapter.layers=all.",
        )
    with _explained(name):
        template.closing  # noqa: B018  found once, so that a template without one is refused at once
    return template


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"chat.template: {path} cannot be read ({error}).",
            fix="Give a Jinja file relative to the recipe, auto, or chatml.",
        ) from error


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """A template that is no Jinja, or refuses a plain question and answer."""
    from jinja2 import TemplateError

    try:
        yield
    except (TemplateError, DataError) as error:
        problem = getattr(error, "problem", None) or str(error)
        raise ModelError(
            f"chat.template: {name} cannot write a question and its answer ({problem}).",
            fix="Mend the Jinja file, or set chat.template: chatml.",
        ) from error
